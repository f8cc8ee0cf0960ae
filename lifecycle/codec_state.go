package lifecycle

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/dormouse-go/dormouse/internal/unread"
)

// This file writes down what is stored of templates and the Engine beyond columns and policies. Each value keeps what a later
// version has stored in it (see package unread), so that it is written again wherever the value goes: the terms of a policy
// into what the template remembers, a hold nowhere, since another one takes its place as a whole.

// templateState is the part of a template that no rule of a policy is, as stores keep it.
type templateState struct {
	Hold           storedHold  `json:"hold,omitzero"`
	Terms          storedTerms `json:"terms,omitzero"`
	Previous       *Superseded `json:"previous,omitempty"`
	AutostartAfter time.Time   `json:"autostart_after,omitzero"`
	Floors         Floors      `json:"floors,omitzero"`
	VersionSince   time.Time   `json:"version_since,omitzero"`
}

func (t *Template) state() templateState {
	return templateState{storedHold(t.Hold), storedTerms(t.Terms), t.Previous, t.AutostartAfter, t.Floors, t.VersionSince}
}

// MarshalState writes what a template is beyond its columns: Hold, Terms, Previous, AutostartAfter, Floors and VersionSince,
// as a JSON object, and what ReadState has not understood. It is for stores, which keep ID, OrganizationID, Name, Revision,
// ActiveVersionID, Rules and Policy by themselves.
func (t *Template) MarshalState() ([]byte, error) { return unread.Write(t.state(), t.unread) }

// ReadState replaces it with what MarshalState has written. It never fails: with a state that cannot be used nothing may happen, so the
// template is held for good, and the hold says why. MarshalState writes such a state as it was, a hold of which that is true
// as long as no other takes its place.
func (t *Template) ReadState(text []byte) {
	var state templateState
	err := json.Unmarshal(text, &state)
	if err == nil {
		err = PolicyTerms(state.Terms).Validate()
	}
	var rest unread.Rest
	if err == nil {
		rest, err = unread.Of(text, state)
	}
	if err != nil {
		state, rest = templateState{Hold: storedHold(unreadableHold(err))}, unread.Whole(text)
	}
	t.Hold, t.Terms, t.Previous = Hold(state.Hold), PolicyTerms(state.Terms), state.Previous
	t.AutostartAfter, t.Floors, t.VersionSince, t.unread = state.AutostartAfter, state.Floors, state.VersionSince, rest
}

// engineState is an Engine as stores keep it.
type engineState struct {
	Engine
	Hold storedHold `json:"hold,omitzero"`
}

// MarshalState writes what [ReadEngine] reads. It is for stores.
func (e Engine) MarshalState() ([]byte, error) {
	return unread.Write(engineState{e, storedHold(e.Hold)}, e.unread)
}

// ReadEngine reads a stored Engine, and is for stores. With one that cannot be read nothing may happen; it is written again as
// [Template.ReadState] says.
func ReadEngine(text []byte) Engine {
	if len(text) == 0 {
		return Engine{}
	}
	var state engineState
	err := json.Unmarshal(text, &state)
	var rest unread.Rest
	if err == nil {
		rest, err = unread.Of(text, state)
	}
	if err != nil {
		return Engine{Hold: unreadableHold(err), unread: unread.Whole(text)}
	}
	e := state.Engine
	e.Hold, e.unread = Hold(state.Hold), rest
	return e
}

// storedHold is a hold in a stored text. One that cannot be used is no error of what is held.
type storedHold Hold

func (h storedHold) MarshalJSON() ([]byte, error) { return unread.Write(Hold(h), h.unread) }

func (h *storedHold) UnmarshalJSON(text []byte) error {
	var read Hold
	err := cmp.Or(json.Unmarshal(text, &read), read.Validate())
	if err == nil {
		read.unread, err = unread.Of(text, read)
	}
	if err != nil {
		read = unreadableHold(err)
		read.unread = unread.Whole(text)
	}
	*h = storedHold(read)
	return nil
}

func unreadableHold(err error) Hold {
	return Hold{Until: lastInstant.time(), By: "store", Note: cutMessage("stored state cannot be used: " + err.Error())}
}

// storedTerms are the terms of a policy in a stored text.
type storedTerms PolicyTerms

func (p storedTerms) MarshalJSON() ([]byte, error) { return unread.Write(PolicyTerms(p), p.unread) }

func (p *storedTerms) UnmarshalJSON(text []byte) (err error) {
	var read PolicyTerms
	if err = json.Unmarshal(text, &read); err == nil {
		read.unread, err = unread.Of(text, read)
	}
	*p = storedTerms(read)
	return err
}

// supersededState is a policy that another took the place of, as it is stored.
type supersededState struct {
	Rules    int64           `json:"rules"`
	Policy   json.RawMessage `json:"policy"`
	Terms    storedTerms     `json:"terms,omitzero"`
	Previous *Superseded     `json:"previous,omitempty"`
}

// MarshalJSON writes what UnmarshalJSON reads.
func (p Superseded) MarshalJSON() ([]byte, error) {
	policy, err := json.Marshal(p.Policy)
	if err != nil {
		return nil, err
	}
	return unread.Write(supersededState{p.Rules, policy, storedTerms(p.Terms), p.Previous}, p.unread)
}

// UnmarshalJSON reads a superseded policy as [ReadPolicy] does: one that cannot be read is no error of the template.
func (p *Superseded) UnmarshalJSON(text []byte) error {
	var state supersededState
	err := json.Unmarshal(text, &state)
	var rest unread.Rest
	if err == nil {
		rest, err = unread.Of(text, state)
	}
	*p = Superseded{state.Rules, ReadPolicy(state.Policy), PolicyTerms(state.Terms), state.Previous, rest}
	return err
}
