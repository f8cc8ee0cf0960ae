package lifecycle

import (
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
)

// validName is the rule for the names of workspaces, templates and owners. It keeps out what a log, a terminal or a page would act
// on. A host that knows its things by their ids may leave a name empty.
func validName(field, name string) error {
	if name != "" && !text.Name(name, maxName) {
		return invalid.New(field, shortened(name), "must be UTF-8 without control and hidden characters, at most %d bytes", maxName)
	}
	return nil
}

// shortened is what an error says of a refused name: megabytes of it would go to logs.
func shortened(name string) string {
	if len(name) <= maxName {
		return name
	}
	return text.Clean(name, maxName)
}
