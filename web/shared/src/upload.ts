/** What a server answered; `response` is its JSON, null when it was none. */
export type Answer = Pick<XMLHttpRequest, 'status' | 'statusText' | 'response'>;

/**
 * Posts a file and resolves with any answer; rejects with "offline" when none came, after an abort too. `progress` gets the share that has gone out, 0 to 1.
 */
export function post(
  url: string,
  headers: Record<string, string>,
  body: Blob | FormData,
  progress: (share: number) => void,
  signal?: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // fetch cannot tell how far an upload got.
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
