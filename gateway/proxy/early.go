package proxy

import (
	"maps"
	"net/http"
)

// finalOnly passes on a plugin's final answer and none of its informational ones (RFC 9110 section
// 15.2; 103 is RFC 8297). httputil.ReverseProxy writes those with the plugin's headers unfiltered
// and then clears all headers, so that with a 103 a plugin could set cookies for the gateway's
// origins and remove the gateway's own headers from the answer that follows.
type finalOnly struct {
	http.ResponseWriter
	plugin http.Header // the headers that the plugin sets, until the final answer is written
	final  bool
}

// Header implements http.ResponseWriter.
func (w *finalOnly) Header() http.Header {
	if w.final { // after the final answer only trailers can be set
		return w.ResponseWriter.Header()
	}
	return w.plugin
}

// WriteHeader implements http.ResponseWriter.
func (w *finalOnly) WriteHeader(status int) {
	if status < http.StatusOK {
		return
	}
	if !w.final {
		w.final = true
		maps.Copy(w.ResponseWriter.Header(), w.plugin)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *finalOnly) Write(b []byte) (int, error) {
	if !w.final {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the wrapped writer.
func (w *finalOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }
