package acquirer

import (
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// shortage says what the workers of an organization lack for a job, in words that its tenant may read: the job's own tags
// and numbers of workers. Workers kept for one owner are not counted for another.
type shortage struct {
	workers    int
	otherTypes int
	reserved   int
	lacking    []lack
}

// lack is a tag of the job and how many workers do not have it.
type lack struct {
	tag     queue.Tag
	workers int
}

// shortageOf counts the workers of a lane's organization, busy ones included. The caller holds the lock.
func (a *Acquirer) shortageOf(l queue.Lane) shortage {
	var s shortage
	wanted := l.Tags.Map()
	add := func(d queue.Domain, n int) {
		if d.Organization != l.Organization || n == 0 || !visible(d.Tags.Map(), wanted) {
			return
		}
		s.add(d.Mismatch(l), n)
	}
	for _, w := range a.workers() {
		add(w.Domain, w.Waiting+w.Busy)
	}
	for _, p := range a.fleet.processes {
		if p.ID == a.member.process {
			continue
		}
		for _, w := range p.Workers {
			add(w.Domain, w.Waiting+w.Busy)
		}
	}
	return s
}

// visible reports whether whoever posted a job with these tags may know of a worker.
func visible(worker, job map[string]string) bool {
	return worker[queue.TagOwner] == "" || worker[queue.TagOwner] == job[queue.TagOwner]
}

func (s *shortage) add(m queue.Mismatch, n int) {
	s.workers += n
	switch {
	case m.OtherTypes != nil:
		s.otherTypes += n
		return
	case m.Reserved:
		s.reserved += n
		return
	}
	for _, tag := range m.Missing {
		s.lacks(tag, n)
	}
	for _, d := range m.Different {
		s.lacks(queue.Tag{Key: d.Key, Value: d.Job}, n)
	}
}

func (s *shortage) lacks(tag queue.Tag, n int) {
	for i := range s.lacking {
		if s.lacking[i].tag == tag {
			s.lacking[i].workers += n
			return
		}
	}
	s.lacking = append(s.lacking, lack{tag, n})
}

// String says it in a sentence without its end.
func (s shortage) String() string {
	if s.workers == 0 {
		return "the organization has no workers"
	}
	var parts []string
	if s.otherTypes > 0 {
		parts = append(parts, fmt.Sprintf("%d run jobs of other types", s.otherTypes))
	}
	if s.reserved > 0 {
		parts = append(parts, fmt.Sprintf("%d are kept for jobs with tags", s.reserved))
	}
	for _, l := range s.lacking {
		parts = append(parts, fmt.Sprintf("%d lack %s=%s", l.workers, queue.Quoted(l.tag.Key), queue.Quoted(l.tag.Value)))
	}
	return fmt.Sprintf("of %d workers %s", s.workers, strings.Join(parts, ", "))
}
