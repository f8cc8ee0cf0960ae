package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Somebody is taken out of a template wherever a later version has written who it was, and out of no copy of it: others read those.
func TestRedactLeavesCopiesAlone(t *testing.T) {
	for where, state := range map[string]string{
		"the hold":              `{"hold":{"until":"2026-03-09T00:00:00Z","with":["zoe"]}}`,
		"the terms":             `{"terms":{"stop_grace":1,"by":"zoe"}}`,
		"the policy before":     `{"previous":{"rules":2,"policy":{},"by":"zoe"}}`,
		"its terms":             `{"previous":{"rules":2,"policy":{},"terms":{"stop_grace":1,"by":"zoe"}}}`,
		"the policy before it":  `{"previous":{"rules":2,"policy":{},"previous":{"rules":1,"policy":{},"by":"zoe"}}}`,
		"what nobody knows":     `{"signed":{"by":"zoe"}}`,
		"all that was not read": `{"floors":"zoe"}`,
	} {
		var tm lifecycle.Template
		tm.ReadState([]byte(state))
		copied := tm
		if tm.Redact([]string{"ann"}, "P") || tm != copied {
			t.Errorf("%s: somebody else was found in %+v", where, tm)
		}
		if !tm.Redact([]string{"zoe"}, "P") {
			t.Errorf("%s: she was not found", where)
		}
		sameJSON(t, where, must1(tm.MarshalState()), []byte(strings.ReplaceAll(state, "zoe", "P")))
		sameJSON(t, where+", a copy", must1(copied.MarshalState()), []byte(state))
	}
}
