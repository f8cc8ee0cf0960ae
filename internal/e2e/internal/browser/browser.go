// Package browser opens a real browser for tests that look at pages: one for all tests of a package, a tab for each.
package browser

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// startLimit is how long a browser may take to start: a busy machine needs longer than the library's 20 seconds.
const startLimit = 2 * time.Minute

// running is the browser of this process.
var running struct {
	sync.Mutex
	ctx   context.Context
	close func()
}

// Main runs the tests of a package that open tabs, and ends their browser: for TestMain.
func Main(m *testing.M) int {
	defer func() {
		running.Lock()
		defer running.Unlock()
		if running.close != nil {
			running.close()
		}
	}()
	return m.Run()
}

// Open opens a tab, for a time at most. Without a browser the test is skipped, except where DORMOUSE_TEST_REQUIRE_BROWSER says
// that there is one.
func Open(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(start(t))
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, limit)
	t.Cleanup(cancel)
	return ctx
}

// start returns the browser, which the first test begins.
func start(t *testing.T) context.Context {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if running.ctx != nil {
		return running.ctx
	}
	path := find()
	switch {
	case path == "" && os.Getenv("DORMOUSE_TEST_REQUIRE_BROWSER") != "":
		t.Fatal("DORMOUSE_TEST_REQUIRE_BROWSER is set and there is no chromium")
	case path == "":
		t.Skip("no browser: install chromium (Debian: apt-get install chromium), or name one in DORMOUSE_TEST_BROWSER")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(startLimit))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endPage := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		end()
		t.Fatalf("the browser does not start: %v", err)
	}
	running.ctx, running.close = ctx, func() { endPage(); end() }
	return ctx
}

// Look sets how wide the window is, and whether people like it "light" or "dark".
func Look(ctx context.Context, t *testing.T, width int, scheme string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), 900)); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.Fatal(err)
	}
}

func find() string {
	if path := os.Getenv("DORMOUSE_TEST_BROWSER"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
