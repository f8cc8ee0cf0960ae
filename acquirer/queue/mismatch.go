package queue

import (
	"fmt"
	"slices"
	"strings"
)

// Mismatch says what keeps a worker from running a job. The zero value says: nothing.
type Mismatch struct {
	// OtherTypes are the types of job that the worker runs, if the job's is not among them.
	OtherTypes []string
	// Missing are tags of the job that the worker does not have at all.
	Missing []Tag
	// Different are tags that both have, with different values.
	Different []TagDifference
	// Reserved: the job is untagged and the worker is not. Tagged workers are kept for the jobs that ask for
	// them; otherwise a rare worker would be found busy with a job that any other could have run.
	Reserved bool
}

// TagDifference is one tag on which a job and a worker disagree.
type TagDifference struct{ Key, Job, Worker string }

// Compare is the tag rule, the only one: a worker runs a job when it has every tag of the job with the same
// value, except that an untagged job runs on untagged workers only. Waking, claiming, the place in line and
// the explanation all use this function. It allocates nothing when the worker fits and has up to 16 tags.
func Compare(worker, job TagSet) Mismatch {
	if worker == job {
		return Mismatch{}
	}
	if job.Untagged() {
		return Mismatch{Reserved: true}
	}
	var jobBuf, workerBuf [16]Tag
	jobTags, workerTags := job.list(jobBuf[:0]), worker.list(workerBuf[:0])
	mismatch := compareScope(workerTags, jobTags)
	for _, tag := range jobTags {
		if tag.Key != TagScope && tag.Key != TagOwner {
			mismatch.compareTag(tag, workerTags)
		}
	}
	return mismatch
}

// compareScope compares the two tags that every set has, written out or not.
func compareScope(worker, job []Tag) Mismatch {
	var m Mismatch
	jobScope, jobOwner := scope(job)
	workerScope, workerOwner := scope(worker)
	if jobScope != workerScope {
		m.Different = append(m.Different, TagDifference{TagScope, jobScope, workerScope})
	}
	if jobOwner != workerOwner {
		m.Different = append(m.Different, TagDifference{TagOwner, jobOwner, workerOwner})
	}
	return m
}

func (m *Mismatch) compareTag(tag Tag, worker []Tag) {
	i, found := slices.BinarySearchFunc(worker, tag.Key, func(t Tag, key string) int {
		return strings.Compare(t.Key, key)
	})
	switch {
	case !found:
		m.Missing = append(m.Missing, tag)
	case worker[i].Value != tag.Value:
		m.Different = append(m.Different, TagDifference{tag.Key, tag.Value, worker[i].Value})
	}
}

// None reports whether nothing is in the way.
func (m Mismatch) None() bool { return m.Distance() == 0 }

// Distance is the number of tags in the way, and [MaxTags] more if the type does.
func (m Mismatch) Distance() int {
	n := len(m.Missing) + len(m.Different)
	if m.OtherTypes != nil {
		n += MaxTags // a worker of another type is further away than any of the right one
	}
	if m.Reserved {
		n++
	}
	return n
}

// String says of the worker what is in the way, such as "lacks gpu=yes".
func (m Mismatch) String() string {
	var parts []string
	if m.OtherTypes != nil {
		parts = append(parts, fmt.Sprintf("runs jobs of other types, %q", m.OtherTypes))
	}
	if m.Reserved {
		parts = append(parts, "is kept for jobs with tags")
	}
	for _, tag := range m.Missing {
		parts = append(parts, fmt.Sprintf("lacks %s=%s", Quoted(tag.Key), Quoted(tag.Value)))
	}
	for _, d := range m.Different {
		parts = append(parts, fmt.Sprintf("has %s %q where the job wants %q", Quoted(d.Key), d.Worker, d.Job))
	}
	return strings.Join(parts, "; ")
}
