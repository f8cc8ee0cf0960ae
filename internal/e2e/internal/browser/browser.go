// Package browser opens a real browser for tests that look at pages.
package browser

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Open opens a browser with one page, for a time at most. Without a browser the test is skipped, except where
// DORMOUSE_TEST_REQUIRE_BROWSER says that there is one.
func Open(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	path := find()
	switch {
	case path == "" && os.Getenv("DORMOUSE_TEST_REQUIRE_BROWSER") != "":
		t.Fatal("DORMOUSE_TEST_REQUIRE_BROWSER is set and there is no chromium")
	case path == "":
		t.Skip("no browser: install chromium (Debian: apt-get install chromium), or name one in DORMOUSE_TEST_BROWSER")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(limit)) // a busy machine needs longer than the default to start a browser
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, limit)
	t.Cleanup(cancel)
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
