import { afterEach, expect, it, vi } from 'vitest'
import { upload } from '../src/panel/upload'

afterEach(() => vi.unstubAllGlobals())

/** A server that answers every upload with this status and response. */
function answering(status: number, response: unknown) {
  vi.stubGlobal(
    'XMLHttpRequest',
    class {
      status = status
      response = response
      upload = {}
      onload = () => {}
      open() {}
      setRequestHeader() {}
      send() {
        this.onload()
      }
    },
  )
  return upload(new File(['ab'], 'a.txt'), { grant: 'g', url: '/p/webchat/upload' }, () => {})
}

const part = { kind: 'file', file: { blob: 'b1', name: 'a.txt', size: 2, key: 'k' } }

it('gives the part that the server made of the file', async () => {
  expect(await answering(200, part)).toEqual(part)
})

it('takes no other answer for a file that has arrived', async () => {
  for (const response of [null, '', {}, { kind: 'file' }, { kind: 'file', file: {} }]) {
    await expect(answering(200, response), JSON.stringify(response)).rejects.toThrow('upload')
  }
})

it('tells why a file was refused', async () => {
  await expect(answering(408, { error: { code: 'broken_off' } })).rejects.toThrow('broken_off')
  await expect(answering(413, null)).rejects.toThrow('too_large')
  await expect(answering(502, null)).rejects.toThrow('upload')
})
