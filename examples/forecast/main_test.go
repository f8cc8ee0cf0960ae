package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestItAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	show := func(html string) string {
		var out bytes.Buffer
		if err := run([]string{"-seed", "3", "-html", html}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := show(file)
	for _, want := range []string{
		"dev-01 starts by its schedule", "█", "No other beats: by hand", "would have kept you waiting", "something else happens to 60 of 60 workspaces",
		"[deletes_untold]", "[herd]", "[clock_gap]", "[stops_early]", "[never_fires]",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !raced {
		if again := show(""); again != text {
			t.Error("the same seed must give the same answers")
		}
	}
	page, err := os.ReadFile(file)
	if err != nil || bytes.Count(page, []byte("<svg")) != 3 || bytes.Contains(page, []byte("NaN")) {
		t.Errorf("page of %d bytes, %v", len(page), err)
	}
	if found := regexp.MustCompile(`(?i)url\(|@import|<(script|link|iframe|img)|\s(src|href)=`).Find(page); found != nil {
		t.Errorf("the page must need nothing from outside: found %q", found)
	}
}

func TestBadCommandLine(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-seed", "x"}, {"-html", "/none/page.html"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: must be refused", args)
		}
	}
}
