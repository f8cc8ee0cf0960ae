package lifecycle_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Somebody who is taken out of a template stays in the copies that others have of it: these are read meanwhile.
func TestRedactLeavesCopiesAlone(t *testing.T) {
	const state = `{"terms":{"stop_grace":1,"by":"zoe"},"previous":{"rules":2,"policy":{},"by":"zoe","previous":{"rules":1,"policy":{},"terms":{"stop_grace":2,"by":"zoe"}}}}`
	const redacted = `{"terms":{"stop_grace":1,"by":"P"},"previous":{"rules":2,"policy":{},"by":"P","previous":{"rules":1,"policy":{},"terms":{"stop_grace":2,"by":"P"}}}}`
	var tm lifecycle.Template
	tm.ReadState([]byte(state))
	copied := tm
	if tm.Redact([]string{"ann"}, "P") || tm != copied {
		t.Errorf("somebody else was found in %+v", tm)
	}
	if !tm.Redact([]string{"zoe"}, "P") {
		t.Error("she was not found")
	}
	sameJSON(t, "the template", must1(tm.MarshalState()), []byte(redacted))
	sameJSON(t, "its copy", must1(copied.MarshalState()), []byte(state))
}
