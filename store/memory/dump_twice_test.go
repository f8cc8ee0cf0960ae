package memory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dormouse-go/dormouse/store/memory"
)

// What there can be only one of is refused the second time.
func TestRestoreRefusesWhatIsThereTwice(t *testing.T) {
	s, _ := lived(t)
	all := strings.SplitAfter(strings.TrimSuffix(dumpOf(t, s), "\n"), "\n")
	all = all[:len(all)-1]
	for _, kind := range []string{"template", "owner", "workspace", "events", "process", "job"} {
		i := slices.IndexFunc(all, func(line string) bool { return strings.HasPrefix(line, `{"`+kind+`":`) })
		if i < 0 {
			t.Fatalf("the dump has no %s", kind)
		}
		twice := slices.Insert(slices.Clone(all), i, all[i])
		text := strings.Join(twice, "") + fmt.Sprintf(`{"end":%d}`, len(twice)) + "\n"
		if _, err := memory.Restore(strings.NewReader(text), nil); err == nil {
			t.Errorf("a %s is restored twice", kind)
		}
	}
}

// A number that a store could not keep is refused.
func TestRestoreRefusesWhatIsTooLarge(t *testing.T) {
	s, _ := lived(t)
	text := strings.Replace(dumpOf(t, s), `"Failures":0`, `"Failures":4294967297`, 1)
	if _, err := memory.Restore(strings.NewReader(text), nil); err == nil || !strings.Contains(err.Error(), "Workspace") {
		t.Errorf("error %v", err)
	}
}

// The first line may have as many bytes as that of another version could need, and no more.
func TestRestoreBoundsTheFirstLine(t *testing.T) {
	rest := `{"end":1}` + "\n"
	for size, ok := range map[int]bool{1024: true, 1025: false} {
		first := `{"dormouse":1}`
		first += strings.Repeat(" ", size-len(first)-1) + "\n"
		if _, err := memory.Restore(strings.NewReader(first+rest), nil); (err == nil) != ok {
			t.Errorf("a first line of %d bytes: %v", size, err)
		}
	}
}
