import { describe, expect, it } from 'vitest'
import { asks, panel } from '../src/panel/panels'

const types = (blocks: unknown) => panel(blocks).map((b) => b.type)

describe('panel', () => {
  it('reads every kind of block', () => {
    expect(
      types([
        { type: 'text', text: 'x', style: 'heading' },
        { type: 'key_value', items: [{ key: 'k', value: 'v' }] },
        { type: 'field', name: 'n', label: 'N', kind: 'select', options: [{ value: 'a', label: 'A' }] },
        { type: 'button', action: 'go', label: 'Go' },
        { type: 'link', url: 'https://example.com', label: 'x' },
        { type: 'link', url: 'http://127.0.0.1:80/x', label: 'x' },
        { type: 'code', code: '1' },
        { type: 'status', state: 'active', text: 'x' },
        { type: 'list', items: [{ text: 'x', action: 'one' }] },
        { type: 'image', blob: 'b', alt: 'a cat' },
        { type: 'embed', url: 'https://example.com', title: 'x' },
      ]),
    ).toEqual([
      'text',
      'key_value',
      'field',
      'button',
      'link',
      'link',
      'code',
      'status',
      'list',
      'image',
      'link',
    ])
  })
  it.each([
    [{ type: 'hologram' }],
    [{ type: 'text' }],
    [{ type: 'button', action: 'Not One', label: 'x' }],
    [{ type: 'button', action: 'go' }],
    [{ type: 'field', name: 'n', label: 'N', kind: 'rocket' }],
    [{ type: 'link', url: 'javascript:alert(1)', label: 'x' }],
    [{ type: 'link', url: 'http://example.com', label: 'x' }],
    [{ type: 'embed', url: 'data:text/html,x', title: 'x' }],
    [{}],
  ])('%j is not shown', (b) => expect(types([b])).toEqual(['unknown']))
  it('bears whatever comes', () => {
    for (const odd of [null, 7, 'x', {}, [null, 3, 'x', []]])
      expect(panel(odd).filter((b) => b.type !== 'unknown')).toEqual([])
    expect(panel(Array(500).fill({ type: 'code', code: '1' }))).toHaveLength(100)
    const twice = { type: 'field', name: 'n', label: 'N' }
    expect(types([twice, twice])).toEqual(['field', 'unknown'])
  })
  it('knows a question', () => {
    expect(asks(panel([{ type: 'button', action: 'accept', label: 'Yes' }]))).toBe(true)
    expect(asks(panel([{ type: 'button', action: 'end', label: 'End' }]))).toBe(false)
  })
})
