package lifecycle

import "slices"

// Redact takes somebody out of a hold, whom it calls by one of these names: as who set it, with the note that they wrote, and in what
// this version cannot read of it. It reports whether they were in it. It is for stores.
func (h *Hold) Redact(names []string, pseudonym string) (found bool) {
	if slices.Contains(names, h.By) {
		h.By, h.Note, found = pseudonym, "", true
	}
	rest, beyond := h.unread.Redact(names, pseudonym)
	if h.unread = rest; beyond && rest.Whole() != nil { // what says why it cannot be read quotes from it
		var again storedHold
		if again.UnmarshalJSON(rest.Whole()) == nil {
			*h = Hold(again)
		}
	}
	return found || beyond
}

// Redact does the same with all that is kept of a template beyond its policies.
func (t *Template) Redact(names []string, pseudonym string) (found bool) {
	held, agreed := t.Hold.Redact(names, pseudonym), t.Terms.redact(names, pseudonym)
	previous, before := t.Previous.redacted(names, pseudonym)
	t.Previous = previous
	t.unread, found = t.unread.Redact(names, pseudonym)
	if found && t.unread.Whole() != nil {
		t.ReadState(t.unread.Whole())
	}
	return found || held || agreed || before
}

func (p *PolicyTerms) redact(names []string, pseudonym string) (found bool) {
	p.unread, found = p.unread.Redact(names, pseudonym)
	return found
}

// redacted is another one: copies of the template share what it remembers.
func (p *Superseded) redacted(names []string, pseudonym string) (next *Superseded, found bool) {
	if p == nil {
		return nil, false
	}
	kept := *p
	agreed := kept.Terms.redact(names, pseudonym)
	previous, before := p.Previous.redacted(names, pseudonym)
	kept.Previous = previous
	kept.unread, found = p.unread.Redact(names, pseudonym)
	if !found && !agreed && !before {
		return p, false
	}
	return &kept, true
}

// Redact does the same with the state of the engine.
func (e *Engine) Redact(names []string, pseudonym string) (found bool) {
	held := e.Hold.Redact(names, pseudonym)
	e.unread, found = e.unread.Redact(names, pseudonym)
	if found && e.unread.Whole() != nil {
		*e = ReadEngine(e.unread.Whole())
	}
	return found || held
}
