import { describe, expect, it } from 'vitest'
import { type Rich, rich } from '../src/panel/richtext'

/** The data as compact text: tags stay visible, and links show their address. */
function flat(list: Rich[]): string {
  return list
    .map((r) => {
      if (typeof r === 'string') return r
      if ('href' in r) return `[${flat(r.children)}](${r.href})`
      return r.tag === 'br' ? '<br>' : `<${r.tag}>${flat(r.children)}</${r.tag}>`
    })
    .join('')
}

// SPEC D5, D6.
describe('rich', () => {
  it.each([
    ['plain', 'a < b & c', 'a < b & c'],
    ['nested', '<b>x <i>y</i></b> z', '<b>x <i>y</i></b> z'],
    ['unclosed', '<b>x <i>y', '<b>x <i>y</i></b>'],
    ['wrongly closed', '<b>x <i>y</b> z</i>', '<b>x <i>y</i></b> z'],
    ['closing only', 'a</b>b', 'ab'],
    ['link', '<a href="https://a.com">t</a>', '[t](https://a.com/)'],
    ['blank as people write it', '<a href=http://a.com target="blank">t</a>', '[t](http://a.com/)'],
    ['link without scheme', '<a href="www.a.com">t</a>', '[t](https://www.a.com/)'],
    ['javascript link', '<a href="javascript:alert(1)">t</a>', 't'],
    ['encoded javascript', '<a href="&#106;avascript:alert(1)">t</a>', 't'],
    ['script', 'a<script>alert(1)</script>b', 'ab'],
    ['script left open', 'a<script>alert(1)', 'a'],
    ['handlers', '<img src=x onerror="alert(1)"><b onclick="x">t</b>', '<b>t</b>'],
    ['greater-than in an attribute', '<b title="a>b">t</b>', '<b>t</b>'],
    ['other elements', '<div><p>a</p><table><tr><td>b</td></tr></table></div>', 'ab'],
    ['breaks', 'a<br>b<br/>c', 'a<br>b<br>c'],
    ['entities', '&lt;b&gt; &amp; &quot;x&quot; &#39;&#x41;&nbsp;&unknown;', '<b> & "x" \'A\u00a0&unknown;'],
    ['comment', 'a<!-- <b>x</b> -->b', 'ab'],
    ['svg', '<svg><a href="https://a.com">x</a></svg>y', 'y'],
  ])('%s', (_, html, want) => expect(flat(rich(html))).toBe(want))

  it('bounds the depth', () => expect(flat(rich(`${'<b>'.repeat(10_000)}x`)).length).toBeLessThan(1000))
})
