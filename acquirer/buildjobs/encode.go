package buildjobs

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// appendJob appends what encoding/json makes of a job, byte for byte. A tick encodes one for each build, and reflection took
// fifteen objects on the heap for it.
func appendJob(b []byte, j *lifecycle.Job) ([]byte, error) {
	transition, err := j.Transition.MarshalText()
	if err != nil {
		return nil, err
	}
	b = slices.Grow(b, 512+base64.StdEncoding.EncodedLen(len(j.Payload)))
	b = appendID(append(b, `{"id":`...), j.ID)
	b = appendID(append(b, `,"organization_id":`...), j.OrganizationID)
	b = appendID(append(b, `,"owner_id":`...), j.OwnerID)
	b = appendID(append(b, `,"workspace_id":`...), j.WorkspaceID)
	b = appendID(append(b, `,"template_id":`...), j.TemplateID)
	b = appendID(append(b, `,"template_version_id":`...), j.TemplateVersionID)
	b = strconv.AppendInt(append(b, `,"build_number":`...), j.BuildNumber, 10)
	b = appendText(append(b, `,"transition":`...), string(transition))
	b = appendText(append(b, `,"reason":`...), string(j.Reason))
	if b, err = j.CreatedAt.AppendText(append(b, `,"created_at":"`...)); err != nil {
		return nil, fmt.Errorf("created at: %w", err)
	}
	b = append(b, '"')
	if len(j.Tags) > 0 {
		b = appendTags(append(b, `,"tags":`...), j.Tags)
	}
	if j.Priority != 0 {
		b = strconv.AppendInt(append(b, `,"priority":`...), int64(j.Priority), 10)
	}
	if len(j.Payload) > 0 {
		b = base64.StdEncoding.AppendEncode(append(b, `,"payload":"`...), j.Payload)
		b = append(b, '"')
	}
	return append(b, '}'), nil
}

func appendID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(append(b, '"'), id[:4])
	for _, part := range [...][]byte{id[4:6], id[6:8], id[8:10], id[10:]} {
		b = hex.AppendEncode(append(b, '-'), part)
	}
	return append(b, '"')
}

func appendTags(b []byte, tags map[string]string) []byte {
	var few [8]string
	keys := few[:0]
	for key := range tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	before := byte('{')
	for _, key := range keys {
		b = appendText(append(b, before), key)
		b = appendText(append(b, ':'), tags[key])
		before = ','
	}
	return append(b, '}')
}

// appendText appends a string. What needs more than quotes is left to encoding/json.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // of a string it cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}
