package memory

import (
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/form"
)

// memberLines are the lines of a dump that are about pools.
type memberLines struct {
	Pool   *prewarm.PoolState `json:"pool,omitempty"`
	Member *prewarm.Member    `json:"member,omitempty"`
}

func (s *Members) dump(d *dumper) {
	for _, p := range s.pools {
		if p.state.Revision > 0 {
			d.row(entryRow{memberLines: memberLines{Pool: &p.state}})
		}
		for _, slot := range p.slots {
			m := p.rows.at(slot).member(p.state.Pool)
			d.row(entryRow{memberLines: memberLines{Member: &m}})
		}
	}
}

// restore reads one line.
func (s *Members) restore(rows *memberLines) error {
	if rows.Pool != nil {
		state := &s.pool(rows.Pool.Pool).state
		*state = *rows.Pool
		state.PausedBy, state.Failures.Message = form.Text(state.PausedBy), form.Text(state.Failures.Message)
	}
	if m := rows.Member; m != nil {
		if err := checkClaim(&m.Claim); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
		p := s.pool(m.Pool)
		if _, exists, ok := p.writable(&prewarm.Member{ID: m.ID, Claim: m.Claim}); exists || !ok {
			return fmt.Errorf("member %s: its id or the key of its claim is there already", m.ID)
		}
		p.write(p.add(m), m)
	}
	return nil
}

// checkClaim refuses what no claim is accepted with. It cannot be cleaned: two keys might become one.
func checkClaim(c *prewarm.Claim) error {
	for field, text := range map[string]string{"Claim.Key": c.Key, "Claim.Owner": c.Owner, "Claim.Tenant": c.Tenant} {
		if form.Text(text) != text {
			return invalid.New(field, text, "must be UTF-8 without control and hidden characters")
		}
	}
	if strings.ContainsRune(c.Details, 0) {
		return invalid.New("Claim.Details", len(c.Details), "must be without zero bytes")
	}
	return nil
}
