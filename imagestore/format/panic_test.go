package format

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestDecoderPanics has decoders that go wrong at any place. Whoever reads gets what came before and an error, and all goroutines end, as
// TestMain makes sure.
func TestDecoderPanics(t *testing.T) {
	t.Parallel()
	var none []int
	slip := func() error { _ = none[1]; return nil }
	whole := func(p *pipeline) {
		if b := p.take(); b != nil {
			b.plain = append(b.plain[:0], "plain"...)
			p.deliver(b)
		}
	}
	aside := func(p *pipeline) {
		if b := p.take(); b != nil {
			p.deliverLater(b, func(b *block) error { b.plain = append(b.plain[:0], "wrong"...); return slip() })
		}
	}
	tests := []struct {
		name   string
		decode decodeFunc
		want   string
	}{
		{"at once", func(*pipeline, *bufio.Reader, *source, int) { slip() }, ""},
		{"after a block", func(p *pipeline, _ *bufio.Reader, _ *source, _ int) { whole(p); slip() }, "plain"},
		{"with a block in its hands", func(p *pipeline, _ *bufio.Reader, _ *source, _ int) { whole(p); p.take(); slip() }, "plain"},
		{"aside", func(p *pipeline, _ *bufio.Reader, _ *source, _ int) {
			whole(p)
			aside(p)
			aside(p)
			p.fail(io.EOF)
		}, "plain"},
		{"aside, and then itself", func(p *pipeline, _ *bufio.Reader, _ *source, _ int) {
			aside(p)
			slip()
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src := &source{r: strings.NewReader("packed")}
			p := startPipeline(bufio.NewReader(src), src, test.decode)
			got, err := io.ReadAll(p)
			if string(got) != test.want || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "the decoder failed: runtime error") {
				t.Errorf("got %q, %v, want %q and that the decoder failed", got, err, test.want)
			}
			p.Close()

			src = &source{r: strings.NewReader("packed")}
			startPipeline(bufio.NewReader(src), src, test.decode).Close() // that nobody reads
		})
	}
}
