package workspaces

import (
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Version is what the workspaces of a pool are built from. Its text is [prewarm.Spec].Version of such a pool, so that members
// of another preset are as stale as those of another version, and each member's row says how it was built.
type Version struct {
	// Template is the id of a template version.
	Template uuid.UUID
	// Preset is a named way to build it, "" for none. What it means is the host's.
	Preset string
}

// String returns the text, which [ParseVersion] reads.
func (v Version) String() string {
	if v.Preset == "" {
		return v.Template.String()
	}
	return v.Template.String() + "/" + v.Preset
}

// maxPreset leaves room for the name of the pool in what is made of both.
const maxPreset = 60

// Validate refuses a preset that cannot be told from what surrounds it in texts.
func (v Version) Validate() error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }
	if len(v.Preset) > maxPreset || strings.ContainsFunc(v.Preset, control) {
		return invalid.New("Preset", v.Preset, "must have at most %d bytes, no slash and no control characters", maxPreset)
	}
	return nil
}

// ParseVersion reads the text of a version.
func ParseVersion(text string) (v Version, err error) {
	id, preset, named := strings.Cut(text, "/")
	v.Preset = preset
	if v.Template, err = uuid.Parse(id); err == nil && v.Validate() == nil && named == (preset != "") {
		return v, nil
	}
	return Version{}, invalid.New("Spec.Version", text, "must be the id of a template version, and after a slash its preset if it has one")
}
