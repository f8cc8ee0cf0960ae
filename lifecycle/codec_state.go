package lifecycle

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/unread"
)

// This file writes down what is stored of templates and the Engine beyond columns and policies. Each value keeps what a later
// version has stored in it (see package unread), so that it is written again wherever the value goes: the terms of a policy
// into what the template remembers, a hold nowhere, since another one takes its place as a whole.

// ErrUnreadable says that something stored, which this version cannot read, would have to be written anew: a later version may have
// written it, so it is kept as it is.
var ErrUnreadable = errors.New("what is stored cannot be read by this version, and is not changed")

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
// ActiveVersionID, Rules and Policy by themselves. The error is [ErrUnreadable] where ReadState could not use what is stored, and
// something of it has changed since.
func (t *Template) MarshalState() ([]byte, error) {
	if err := t.keeps(); err != nil {
		return nil, err
	}
	return unread.Write(t.state(), t.unread)
}

// keeps refuses what a state that could not be read would swallow.
func (t *Template) keeps() error {
	text := t.unread.Whole()
	if text == nil {
		return nil
	}
	var kept Template
	kept.ReadState(text)
	return kept.Hold.refuse(t.state() != kept.state())
}

// ReadState replaces it with what MarshalState has written. It never fails: with a state that cannot be used nothing may happen, so the
// template is held for good, and the hold says why. MarshalState writes such a state as it was, or refuses to write it; a hold of which
// that is true goes where another takes its place.
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

// MarshalState writes what [ReadEngine] reads. It is for stores. The error is [ErrUnreadable] as that of [Template.MarshalState] is.
func (e Engine) MarshalState() ([]byte, error) {
	if err := e.keeps(); err != nil {
		return nil, err
	}
	return unread.Write(engineState{e, storedHold(e.Hold)}, e.unread)
}

func (e Engine) keeps() error {
	text := e.unread.Whole()
	if text == nil {
		return nil
	}
	kept := ReadEngine(text)
	e.Interval = 0 // is not stored
	return kept.Hold.refuse(e != kept)
}

// ReadEngine reads a stored Engine, and is for stores. With one that cannot be read nothing may happen, but that events are written of
// the topics that it names; it is written again as [Template.ReadState] says.
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
		return Engine{Hold: unreadableHold(err), Topics: topicsIn(text), unread: unread.Whole(text)}
	}
	e := state.Engine
	e.Hold, e.unread = Hold(state.Hold), rest
	return e
}

// topicsIn are the topics that an engine names of which not everything can be read.
func topicsIn(text []byte) Topics {
	var engine struct {
		Topics Topics `json:"topics"`
	}
	if err := json.Unmarshal(text, &engine); err != nil {
		return 0
	}
	return engine.Topics
}

// storedHold is a hold in a stored text. One that cannot be used is no error of what is held.
type storedHold Hold

func (h storedHold) MarshalJSON() ([]byte, error) {
	if err := h.keeps(); err != nil {
		return nil, err
	}
	return unread.Write(Hold(h), h.unread)
}

func (h storedHold) keeps() error {
	text := h.unread.Whole()
	if text == nil {
		return nil
	}
	var kept storedHold
	_ = kept.UnmarshalJSON(text) // never fails
	return (*Hold)(&kept).refuse(h != kept)
}

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

// unreadableHold holds everything for good. It is nobody's, so that nobody who is forgotten is taken out of it, and valid, so that
// a host may pass it through.
func unreadableHold(err error) Hold {
	return Hold{Until: lastInstant.time(), Note: cutText("stored state cannot be used: "+err.Error(), maxNote)}
}

// refuse is the error where what stands for a text that could not be read has changed. The hold that stands for it says why.
func (h *Hold) refuse(changed bool) error {
	if !changed {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnreadable, h.Note)
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
