import { post } from '@parley/shared/upload'
import type { SentPart } from './protocol'

/** Sends one file under a grant; rejects with the published code. */
export async function upload(
  file: File,
  grant: { grant: string; url: string },
  progress: (share: number) => void,
): Promise<SentPart> {
  const headers = {
    'Parley-Grant': grant.grant,
    'Parley-File-Name': encodeURIComponent(file.name || 'file'),
    'Content-Type': file.type || 'application/octet-stream',
  }
  const { status, response } = await post(grant.url, headers, file, progress)
  // Not everything between here and the plugin means by 200 what the plugin does.
  if (status === 200 && response?.kind && response.file?.blob) return response as SentPart
  throw new Error(response?.error?.code ?? (status === 413 ? 'too_large' : 'upload'))
}
