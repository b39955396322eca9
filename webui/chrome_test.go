package webui

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// A chrome is one tab of Debian's Chromium in which a test clicks and types as a person does.
type chrome struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu       sync.Mutex
	problems []string // what the browser complained about
	loads    int      // documents fetched
}

// patience bounds one step; the machine may be busy with others' tests.
const patience = 60 * time.Second

func openChrome(t *testing.T, base string) *chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: Debian's chromium is not installed; the console was not driven in a browser (apt-get install chromium)")
	}
	if assets, err := loadAssets(); err != nil || assets.bare {
		t.Skip("SKIPPED: the console's foreign assets are not built, so it was not driven in a browser (make console)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(patience),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	c := &chrome{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("chromium did not end well: %v", err)
		}
		closeTab()
		stop()
	})
	if err := chromedp.Listen(ctx, c.listen); err != nil { // starts the browser, whose life is ctx
		t.Fatalf("start chromium: %v", err)
	}
	c.run("resize", chromedp.EmulateViewport(1440, 900))
	return c
}

// listen notes what goes wrong in the page: exceptions, errors on its console, violations of the content security policy.
func (c *chrome) listen(ev any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		c.problems = append(c.problems, fmt.Sprintf("exception: %s %v", ev.ExceptionDetails.Text, ev.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range ev.Args {
				c.problems = append(c.problems, fmt.Sprintf("console %s: %s", ev.Type, a.Value))
			}
		}
	case *log.EventEntryAdded:
		if strings.Contains(ev.Entry.Text, "status of 422") {
			return // a form that came back with what was wrong
		}
		if ev.Entry.Level == log.EntryLevelError || ev.Entry.Source == log.EntrySourceSecurity {
			c.problems = append(c.problems, fmt.Sprintf("log: %s %s", ev.Entry.Text, ev.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if ev.Type == network.ResourceTypeDocument {
			c.loads++
		}
	}
}

// run does steps within the time that a person would wait.
func (c *chrome) run(what string, steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		look, done := context.WithTimeout(c.ctx, 5*time.Second)
		defer done()
		text, _ := chromedp.Run(look, chromedp.Text(chromedp.CSS("body")))
		c.t.Fatalf("%s: %v; the page says:\n%s", what, err, text)
	}
}

func (c *chrome) open(path string) {
	c.t.Helper()
	c.run("open "+path, chromedp.Navigate(c.base+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// sees waits for text within an element, however many pages come between.
func (c *chrome) sees(selector, text string) {
	c.t.Helper()
	c.until(fmt.Sprintf("%q in %s", text, selector),
		fmt.Sprintf("document.readyState === 'complete' && [...document.querySelectorAll(%q)].some((e) => e.innerText.includes(%q))", selector, text))
}

// until waits for a condition of the page.
func (c *chrome) until(what, script string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	every := time.NewTicker(30 * time.Millisecond)
	defer every.Stop()
	for {
		// While one page gives way to the next there is nothing to ask, which is no error.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && ok {
			return
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			c.run("wait for "+what, chromedp.Func(func(context.Context, *chromedp.Target) error { return ctx.Err() }))
			return
		}
	}
}

// eval reads a value from the page.
func eval[T any](c *chrome, script string) T {
	c.t.Helper()
	return get(c, script, chromedp.Evaluate[T](script))
}

// get does a step that answers something.
func get[T any](c *chrome, what string, step chromedp.Action[T]) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, step)
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// clean fails when the browser complained about anything.
func (c *chrome) clean() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) > 0 {
		c.t.Errorf("the browser complained:\n%s", strings.Join(c.problems, "\n"))
	}
}

func (c *chrome) documents() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loads
}

// look is how a page is looked at.
func (c *chrome) look(width, height int64, dark bool) {
	c.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	c.run("resize", chromedp.EmulateViewport(width, height),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}})
			return err
		}))
}

// picture writes what the tab shows to a PNG file.
func (c *chrome) picture(file string, whole bool) {
	c.t.Helper()
	shot := chromedp.CaptureScreenshot()
	if whole {
		shot = chromedp.FullScreenshot(100)
	}
	if err := os.WriteFile(file, get(c, "picture", shot), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// logIn brings the tab in as the user admin, who is made if need be.
func (c *chrome) logIn(b *bed) {
	c.t.Helper()
	if users, _ := b.cat.Users(); len(users) == 0 {
		c.open("/setup")
		c.run("set up",
			chromedp.SendKeys(chromedp.CSS("input[name=code]"), setupCode),
			chromedp.SendKeys(chromedp.CSS("input[name=password]"), password),
			chromedp.SendKeys(chromedp.CSS("input[name=again]"), password),
			chromedp.Submit(chromedp.CSS("input[name=code]")))
		c.sees("h1", "classroom")
		return
	}
	c.open("/login")
	c.run("log in",
		chromedp.SendKeys(chromedp.CSS("input[name=name]"), "admin"),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), password),
		chromedp.Submit(chromedp.CSS("input[name=name]")))
	c.sees("h1", "lassroom")
}
