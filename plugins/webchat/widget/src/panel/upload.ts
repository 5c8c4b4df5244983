import type { Part } from './frames'

/** Sends one file under a grant; rejects with the published code. */
export function upload(
  file: File,
  grant: { grant: string; url: string },
  progress: (share: number) => void,
): Promise<Part> {
  return new Promise((done, failed) => {
    const x = new XMLHttpRequest() // fetch cannot tell an upload's progress
    x.open('POST', grant.url)
    x.setRequestHeader('Parley-Grant', grant.grant)
    x.setRequestHeader('Parley-File-Name', encodeURIComponent(file.name || 'file'))
    x.setRequestHeader('Content-Type', file.type || 'application/octet-stream')
    x.responseType = 'json'
    x.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total)
    x.onload = () => {
      if (x.status === 200) done(x.response as Part)
      else failed(new Error(x.response?.error?.code ?? (x.status === 413 ? 'too_large' : 'upload')))
    }
    x.onerror = () => failed(new Error('offline'))
    x.send(file)
  })
}
