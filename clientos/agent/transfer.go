package agent

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"aula/clientos/fetch"
	"aula/clientos/protocol"
)

const (
	answerLimit = 30 * time.Second // until a GET is answered
	// stallLimit is how long a transfer may stand still before it is given up.
	stallLimit     = 60 * time.Second
	transferBuffer = 256 << 10
)

// A transfer moves image bytes by HTTPS, beside the session. It implements fetch.Server. Wherever it connects to, the key that
// answers must be the pinned one.
type transfer struct {
	base   url.URL // where the session is
	client *http.Client
}

var _ fetch.Server = (*transfer)(nil)

func newTransfer(server string, id identity) *transfer {
	return &transfer{
		base: url.URL{Scheme: "https", Host: server},
		client: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: answerLimit, KeepAlive: protocol.PingInterval}).DialContext,
			TLSClientConfig:     id.tls(),
			TLSHandshakeTimeout: answerLimit,
			IdleConnTimeout:     stallLimit,
			DisableCompression:  true,
			ReadBufferSize:      transferBuffer,
			WriteBufferSize:     transferBuffer,
			// The server may refuse an image (its disk is full) before the first byte of it leaves.
			ExpectContinueTimeout: answerLimit,
		}},
	}
}

// OpenImage implements clone.Server.
func (t *transfer) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	return t.get(ctx, image, protocol.ImagePart, offset, 0)
}

// OpenRange implements clone.RangeServer.
func (t *transfer) OpenRange(ctx context.Context, image protocol.Image, low, high int64) (io.ReadCloser, error) {
	return t.get(ctx, image, protocol.ImagePart, low, high)
}

// OpenChunks implements clone.Server.
func (t *transfer) OpenChunks(ctx context.Context, image protocol.Image) (io.ReadCloser, error) {
	return t.get(ctx, image, protocol.ChunksPart, 0, 0)
}

// OpenMap implements clone.MapServer.
func (t *transfer) OpenMap(ctx context.Context, image protocol.Image) (io.ReadCloser, error) {
	return t.get(ctx, image, protocol.MapPart, 0, 0)
}

// OpenTorrent implements fetch.Server.
func (t *transfer) OpenTorrent(ctx context.Context, image protocol.Image) (io.ReadCloser, error) {
	return t.get(ctx, image, protocol.TorrentPart, 0, 0)
}

// maxSession bounds what is read of a session, in bytes.
const maxSession = 16 << 10

// Join implements fetch.Server.
func (t *transfer) Join(ctx context.Context, instruction string) (protocol.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, stallLimit)
	defer cancel()
	var session protocol.Session
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base.JoinPath(protocol.SessionsPath, instruction).String(), nil)
	if err != nil {
		return session, err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return session, fmt.Errorf("join the multicast session: %w", causeOf(ctx, err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return session, fmt.Errorf("join the multicast session: %w", refusal(resp))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxSession)).Decode(&session); err != nil {
		return session, fmt.Errorf("join the multicast session: the answer of the server: %w", err)
	}
	return session, nil
}

// at is where an image is fetched from: the address that it names, with the port of the session when it names none.
func (t *transfer) at(image protocol.Image, part string) *url.URL {
	base := t.base
	if image.Server != "" {
		base.Host = image.Server
		if _, _, err := net.SplitHostPort(image.Server); err != nil {
			base.Host = net.JoinHostPort(strings.Trim(image.Server, "[]"), t.base.Port())
		}
	}
	address := base.JoinPath(protocol.ImagesPath, image.Name, strconv.Itoa(image.Revision), part)
	if image.Repository != "" {
		address.RawQuery = url.Values{protocol.RepositoryQuery: {image.Repository}}.Encode()
	}
	return address
}

// get opens the bytes of a part from low to high-1, or to its end when high is 0.
func (t *transfer) get(ctx context.Context, image protocol.Image, part string, low, high int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	guard := newGuard(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.at(image, part).String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	want := http.StatusOK
	switch {
	case high > 0:
		want = http.StatusPartialContent
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", low, high-1))
	case low > 0:
		want = http.StatusPartialContent
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", low))
	}
	release := guard.watch(answerLimit)
	resp, err := t.client.Do(req)
	release()
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("fetch %s of image %s: %w", part, image.Name, causeOf(ctx, err))
	}
	body := &guardedBody{
		body: resp.Body, guard: guard, cancel: cancel,
		cause: func(err error) error { return causeOf(ctx, err) },
	}
	if resp.StatusCode != want {
		defer body.Close()
		return nil, fmt.Errorf("fetch %s of image %s: %w", part, image.Name, refusal(resp))
	}
	return body, nil
}

// PutLayout implements clone.Server.
func (t *transfer) PutLayout(ctx context.Context, instruction string, layout []byte) error {
	ctx, cancel := context.WithTimeout(ctx, stallLimit)
	defer cancel()
	resp, err := t.put(ctx, t.base.JoinPath(protocol.CapturesPath, instruction, "layout"), bytes.NewReader(layout), nil)
	if err != nil {
		return fmt.Errorf("send the layout of the disk: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("send the layout of the disk: %w", refusal(resp))
	}
	return nil
}

// PutImage implements clone.Server. The digest goes after the last byte, and only after write said that it was the last: an upload
// that ends otherwise is cut, which the server cannot take for complete.
func (t *transfer) PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	trailer := http.Header{protocol.DigestTrailer: nil}
	pr, pw := io.Pipe()
	out := &guardedWriter{to: pw, guard: newGuard(cancel)}
	var writeErr error
	var writer sync.WaitGroup
	writer.Go(func() {
		hash := blake3.New()
		writeErr = write(io.MultiWriter(hash, out))
		if writeErr == nil {
			trailer.Set(protocol.DigestTrailer, hex.EncodeToString(hash.Sum(nil)))
		}
		pw.CloseWithError(writeErr)
	})
	address := t.base.JoinPath(protocol.CapturesPath, instruction, "image")
	if partition > 0 {
		address.RawQuery = url.Values{protocol.PartitionQuery: {strconv.Itoa(partition)}}.Encode()
	}
	// From the last byte on the server publishes, however long that takes; a dead connection shows by TCP's keep-alive.
	resp, err := t.put(ctx, address, pr, trailer)
	pr.CloseWithError(errAnswered) // write must not wait for a reader that is gone
	writer.Wait()
	if err == nil {
		defer resp.Body.Close()
	}
	switch {
	case writeErr != nil && out.err == nil: // write failed by itself, not because nobody took its bytes
		return causeOf(ctx, writeErr)
	case err != nil:
		return fmt.Errorf("send the image: %w", causeOf(ctx, err))
	case resp.StatusCode != http.StatusCreated:
		return fmt.Errorf("send the image: %w", refusal(resp))
	case writeErr != nil:
		return fmt.Errorf("send the image: %w", errAnswered)
	}
	return nil
}

// errAnswered is what a writer meets when the server has answered, or is gone, before the body's end.
var errAnswered = errors.New("the server did not take the whole image")

func (t *transfer) put(ctx context.Context, address *url.URL, body io.Reader, trailer http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue")
	req.Trailer = trailer
	return t.client.Do(req)
}

// refusal turns an answer other than the one hoped for into an error: a *protocol.Failure when it is the server's last word, any
// other error when time can cure it.
func refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	f := new(protocol.Failure)
	if resp.Header.Get("Content-Type") != "application/json" || json.Unmarshal(text, f) != nil || f.Problem == "" {
		return fmt.Errorf("the server answered %s: %.200s", resp.Status, text)
	}
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:
		return errors.New(f.Error())
	}
	return f
}

// causeOf prefers the reason why ctx ended to the client's "context canceled".
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}
