package storetest

import (
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/store"
)

// testForgetUnread has holds that a later version has written, by a person and by somebody else.
func testForgetUnread(f *fixture, s store.Store) {
	forgetter, ok := s.(store.Forgetter)
	if !ok {
		f.Skip("the store forgets nobody")
	}
	text := func(id uuid.UUID) string {
		t, known, err := s.Template(f.ctx, id)
		f.must(err)
		f.rule(known, "the template is there")
		state, err := t.MarshalState()
		f.must(err)
		return string(state)
	}
	put := func(state string) uuid.UUID {
		t := f.template
		t.ID, t.Revision = uuid.New(), 0
		f.must(s.PutTemplate(f.ctx, epoch, t))
		f.corrupt("state", t.ID, state)
		return t.ID
	}
	hers := []uuid.UUID{
		put(`{"hold":{"until":"2027-01-01T00:00:00Z","rules":["moving"],"note":"zoe's","by":"zoe"}}`),
		put(`{"hold":{"until":"2027-01-01T00:00:00Z","by":"ann","with":[{"by":"zoe","note":"of zoe"}]}}`),
		put(`{"hold":{},"signed":"zoe"}`),
		put(`{"hold":["of","zoe"],"floors":7}`),
		put(`{"terms":{"at":"2026-01-01T00:00:00Z","agreed":["zoe"]}}`),
		put(`{"previous":{"rules":2,"policy":{},"by":"zoe","previous":{"rules":1,"policy":{},"terms":{"by":"zoe"}}}}`),
	}
	others := put(`{"hold":{"until":"2027-01-01T00:00:00Z","rules":["moving"],"note":"not zoe's","by":"ann"}}`)
	was := text(others)
	f.must(forgetter.Forget(f.ctx, store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}))
	for _, id := range hers {
		f.rule(!strings.Contains(text(id), "zoe"), "she is not in what this version cannot read: %s", text(id))
	}
	f.rule(text(others) == was, "what others wrote stays: %s", text(others))
}
