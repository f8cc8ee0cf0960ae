package memory

// chain is a list of the rows that have an owner or a template in common. The links are in the rows.
type chain struct{ first uint32 }

// link is a row's place in a chain.
type link struct{ prev, next uint32 }

// linkOf picks the link of one of the chains a row is in.
type linkOf func(*row) *link

func ofOwner(r *row) *link    { return &r.ofOwner }
func ofTemplate(r *row) *link { return &r.ofTemplate }

func (f *fleet) link(c *chain, slot uint32, of linkOf) {
	l := of(f.rows.at(slot))
	l.prev, l.next = none, c.first
	if c.first != none {
		of(f.rows.at(c.first)).prev = slot
	}
	c.first = slot
}

func (f *fleet) unlink(c *chain, slot uint32, of linkOf) {
	l := of(f.rows.at(slot))
	if l.prev == none {
		c.first = l.next
	} else {
		of(f.rows.at(l.prev)).next = l.next
	}
	if l.next != none {
		of(f.rows.at(l.next)).prev = l.prev
	}
}

// each calls do for every row of a chain.
func (f *fleet) each(c chain, of linkOf, do func(slot uint32, r *row)) {
	for slot := c.first; slot != none; {
		r := f.rows.at(slot)
		next := of(r).next
		do(slot, r)
		slot = next
	}
}
