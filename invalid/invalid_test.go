package invalid_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/invalid"
)

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{invalid.New("Policy.FailureTTL", time.Second, "must be at least %v", time.Minute), "Policy.FailureTTL 1s: must be at least 1m0s"},
		{invalid.New("spec", "", "must not be empty"), `spec "": must not be empty`},
		{invalid.New("spec", "a\nb", "must be one line"), `spec "a\nb": must be one line`},
		{invalid.New("share", 120, "must be at most 100%"), "share 120: must be at most 100%"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestErrorMatchesTheSentinel(t *testing.T) {
	err := fmt.Errorf("create workspace: %w", invalid.New("ttl", 1, "must be 0"))
	if !errors.Is(err, invalid.Err) {
		t.Error("a wrapped refusal does not match")
	}
	if errors.Is(errors.New("disk full"), invalid.Err) || errors.Is(err, errors.ErrUnsupported) {
		t.Error("something else matches")
	}
}

// A text is shown whole up to 80 bytes and cut between two characters after that.
func TestNewCutsTexts(t *testing.T) {
	for n, want := range map[int]int{79: 79, 80: 80, 81: 80 + 3} {
		if got := invalid.New("text", strings.Repeat("x", n), "").Value.(string); len(got) != want {
			t.Errorf("of %d bytes %d are shown", n, len(got))
		}
	}
	if err := quick.Check(func(s string) bool {
		s = strings.ToValidUTF8(strings.Repeat(s, 10), "?")
		shown := invalid.New("text", s, "").Value.(string)
		return utf8.ValidString(shown) && len(shown) <= 83 && strings.HasPrefix(s, strings.TrimSuffix(shown, "..."))
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestRenaming(t *testing.T) {
	weeks := invalid.New("Requirement.Weeks", 17, "must be at most 16")
	wrapped := fmt.Errorf("compute: %w", weeks)
	full := errors.New("disk full")
	for _, c := range []struct {
		err  error
		want string
	}{
		{invalid.Within("Policy", wrapped), "Policy.Requirement.Weeks 17: must be at most 16"},
		{invalid.As("weeks", wrapped), "weeks 17: must be at most 16"},
		{weeks, "Requirement.Weeks 17: must be at most 16"}, // the original is as it was
		{invalid.Within("Policy", full), "disk full"},
		{invalid.As("weeks", full), "disk full"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if invalid.As("weeks", nil) != nil || invalid.Within("Policy", nil) != nil {
		t.Error("no error has become one")
	}
}
