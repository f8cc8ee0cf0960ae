package workspaces_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm/workspaces"
)

func TestVersionIsReadAsItWasWritten(t *testing.T) {
	id := uuid.New()
	for _, preset := range []string{"", "large", "8 cores, 32 GB", "größer"} {
		v := workspaces.Version{Template: id, Preset: preset}
		got, err := workspaces.ParseVersion(v.String())
		if err != nil || got != v {
			t.Errorf("%q is read as %+v, %v", v, got, err)
		}
	}
	for _, text := range []string{"", "large", "/large", id.String() + "/", id.String() + "/a/b", id.String() + "/a\n", id.String() + "/" + strings.Repeat("x", 61)} {
		var refused *invalid.Error
		if _, err := workspaces.ParseVersion(text); !errors.As(err, &refused) || refused.Field != "Spec.Version" {
			t.Errorf("%q: %v", text, err)
		}
	}
}
