package workerpool

import (
	"cmp"
	"strings"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
)

// Resources are what a worker offers, and what a job takes of it. What a type leaves at zero it does not have, except
// that a job takes one slot at least.
type Resources struct {
	// Slots is how many jobs fit beside each other, or how many places a job takes.
	Slots int64
	// CPU is in thousandths of a core.
	CPU int64
	// Memory and Disk are in bytes.
	Memory, Disk int64
	GPUs         int64
}

// Fit reports whether r fits into room.
func (r Resources) Fit(room Resources) bool {
	return r.Slots <= room.Slots && r.CPU <= room.CPU && r.Memory <= room.Memory && r.Disk <= room.Disk && r.GPUs <= room.GPUs
}

// Plus returns the sum.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.Slots + o.Slots, r.CPU + o.CPU, r.Memory + o.Memory, r.Disk + o.Disk, r.GPUs + o.GPUs}
}

// Minus returns the difference.
func (r Resources) Minus(o Resources) Resources {
	return Resources{r.Slots - o.Slots, r.CPU - o.CPU, r.Memory - o.Memory, r.Disk - o.Disk, r.GPUs - o.GPUs}
}

// compare orders rooms from the tightest to the widest.
func (r Resources) compare(o Resources) int {
	return cmp.Or(cmp.Compare(r.Slots, o.Slots), cmp.Compare(r.GPUs, o.GPUs), cmp.Compare(r.Memory, o.Memory),
		cmp.Compare(r.CPU, o.CPU), cmp.Compare(r.Disk, o.Disk))
}

// largestResource leaves room for sums over a worker's jobs.
const largestResource = 1 << 50

func (r Resources) validate(field string) error {
	for _, f := range []struct {
		name  string
		value int64
	}{{"Slots", r.Slots}, {"CPU", r.CPU}, {"Memory", r.Memory}, {"Disk", r.Disk}, {"GPUs", r.GPUs}} {
		if f.value < 0 || f.value > largestResource {
			return invalid.New(field+"."+f.name, f.value, "must be between 0 and 2^50")
		}
	}
	return nil
}

// String names what is not zero.
func (r Resources) String() string {
	var parts []string
	add := func(n int64, one, many string) {
		if n != 0 {
			parts = append(parts, text.Count(int(n), one, many))
		}
	}
	add(r.Slots, "slot", "slots")
	add(r.CPU, "mCPU", "mCPU")
	add(r.Memory>>20, "MiB memory", "MiB memory")
	add(r.Disk>>20, "MiB disk", "MiB disk")
	add(r.GPUs, "GPU", "GPUs")
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
