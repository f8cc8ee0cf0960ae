package webui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// errForbidden is what a viewer may not do.
var errForbidden = errors.New("you may look at this page and not act on it")

// serveAct does what a button asks for and shows the page again. Whoever presses twice asks for the same twice: a deadline
// is an instant, never "an hour more".
func (h *Handler) serveAct(w http.ResponseWriter, r *http.Request, who Viewer) {
	if err := readForm(w, r); err != nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	a, err := actionOf(r.PostForm)
	if err == nil {
		err = h.act(r, who, a)
	}
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.cache.forget()
	http.Redirect(w, r, h.back(r.PostForm, a.Workspace), http.StatusSeeOther)
}

func (h *Handler) act(r *http.Request, who Viewer, a Action) error {
	if !h.mayAct(who) || !who.Operator && (a.Kind == ActHold || a.Kind == ActRetry) {
		return errForbidden
	}
	if a.Kind == ActCreate {
		return h.create(r, who, a)
	}
	s, err := h.source.Workspace(r.Context(), a.Workspace)
	if err != nil {
		return unread(err)
	}
	if !who.Operator && !who.owns(&s) {
		return lifecycle.ErrNotFound // not even that it exists
	}
	return h.source.(Actor).Act(r.Context(), who, a)
}

// unread is why a source could not be asked. Unlike the error of an action it is nothing that a viewer can mend, and may name what
// they must not see.
func unread(err error) error {
	if errors.Is(err, lifecycle.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err)
}

// actionOf reads a form. What it lets through is one of the known actions with what that needs.
func actionOf(form url.Values) (Action, error) {
	id, err := uuid.Parse(form.Get("workspace"))
	if err != nil {
		return Action{}, invalid.New("workspace", short(form.Get("workspace")), "must be the id of a workspace")
	}
	a := Action{Kind: ActionKind(form.Get("do")), Workspace: id}
	switch a.Kind {
	case ActStart, ActStop, ActWake, ActRetry:
	case ActExtend, ActSetDeadline:
		if a.Until, err = time.Parse(time.RFC3339Nano, form.Get("until")); err != nil {
			return Action{}, invalid.New("until", short(form.Get("until")), "must be an instant")
		}
	case ActSetHours:
		a.Hours = hoursOf(form)
		_, err = hoursVerbs(a.Hours)
	case ActHold:
		a.Hold, err = holdOf(form)
	case ActSetTTL:
		a.TTL, err = ttlOf(form)
	case ActDelete:
		if form.Get("sure") != "yes" {
			err = invalid.New("sure", "", "must be ticked: what is deleted does not come back")
		}
	case ActCreate:
		err = newOf(form, &a)
	default:
		return Action{}, invalid.New("do", short(form.Get("do")), "must be one of the actions of the page")
	}
	return a, err
}

// holdOf reads a hold of everything about a workspace; without an end it ends the hold.
func holdOf(form url.Values) (lifecycle.Hold, error) {
	if form.Get("until") == "" {
		return lifecycle.Hold{}, nil
	}
	until, err := time.Parse(time.RFC3339Nano, form.Get("until"))
	if err != nil {
		return lifecycle.Hold{}, invalid.New("until", short(form.Get("until")), "must be an instant")
	}
	return lifecycle.Hold{Until: until, Note: short(form.Get("note"))}, nil
}

// back is the page from which an action came.
func (h *Handler) back(form url.Values, id uuid.UUID) string {
	if form.Get("back") == "operator" {
		return h.cfg.Prefix + "/?why=" + id.String() + "#why"
	}
	return h.cfg.Prefix + "/mine?at=" + id.String() + "#w-" + id.String()
}

// refuse says why something was not done.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusConflict
	switch {
	case errors.Is(err, errForbidden):
		status = http.StatusForbidden
	case errors.Is(err, lifecycle.ErrNotFound):
		status, err = http.StatusNotFound, errors.New("there is no such workspace")
	case errors.Is(err, invalid.Err):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, lifecycle.ErrUnavailable):
		h.cfg.Logger.ErrorContext(r.Context(), "an action failed", "error", err)
		status, err = http.StatusServiceUnavailable, errors.New("the fleet cannot be reached at the moment")
	}
	http.Error(w, fmt.Sprintf("This was not done: %v. Go back and look at the page again.", err), status)
}
