package webui_test

import (
	"fmt"
	"testing"
)

// Each page looks as it should, wide and narrow, light and dark: to be looked at.
func TestPictures(t *testing.T) {
	s := newSite(t)
	for _, page := range []struct{ name, path string }{
		{"operator", "/?q=&why=" + s.workspace(t, "legal-7") + "&compare=1&max=6h&jitter=20m&t=" + s.template(t, "go-dev")}, {"owner", "/mine"},
	} {
		for _, width := range []int{1280, 390} {
			for _, dark := range []bool{false, true} {
				name := fmt.Sprintf("%s-%d-%s", page.name, width, map[bool]string{false: "light", true: "dark"}[dark])
				t.Run(name, func(t *testing.T) {
					b := newBrowser(t, s, width, dark)
					b.open(page.path)
					b.keep(name)
					b.clean()
				})
			}
		}
	}
}
