package sandbox_test

import (
	"net/http"
	"testing"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

// instant is a webhook host that answers at once.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// BenchmarkSend measures a load generator: a few hundred handsets that write at the same time.
func BenchmarkSend(b *testing.B) {
	for _, place := range []string{"memory", "disk"} {
		b.Run(place, func(b *testing.B) {
			o := sandbox.Options{Transport: instant{}, Numbers: []sandbox.Number{{Number: number, WebhookURL: "http://gw.example.test/in"}}}
			if place == "disk" {
				o.Dir = b.TempDir()
			}
			s, err := sandbox.New(o)
			if err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(128)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Send(sandbox.Text{From: customer, To: number, Body: "a text of ordinary length, as people write"}); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
