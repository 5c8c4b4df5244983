/** A server's answer; `response` is its JSON, null if it has none. */
export type Answer = Pick<XMLHttpRequest, 'status' | 'statusText' | 'response'>;

/**
 * Posts a file and resolves with any answer; rejects with "offline" if none came, also after an
 * abort. `progress` gets the share that was sent, 0 to 1.
 */
export function post(
  url: string,
  headers: Record<string, string>,
  body: Blob | FormData,
  progress: (share: number) => void,
  signal?: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // fetch does not report the progress of an upload.
    const request = new XMLHttpRequest();
    request.open('POST', url);
    for (const name in headers) request.setRequestHeader(name, headers[name] ?? '');
    request.responseType = 'json';
    request.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    request.onload = () => resolve(request);
    request.onerror = request.onabort = () => reject(new Error('offline'));
    signal?.addEventListener('abort', () => request.abort());
    request.send(body);
  });
}
