package forecast

import (
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// Calendar returns the first n builds of the steps as an iCalendar file (RFC 5545) for the calendars of people: one event
// for each start, stop and deletion. Every instant is a single event in UTC, without recurrence rules and without a zone,
// so that it is right across clock changes in every program that reads it. stamp is when the file was made.
//
// An event keeps its identity as long as its instant is the same. A feed that is fetched again therefore replaces what
// moved; what a calendar does with events that are gone is up to it.
func Calendar(name string, stamp time.Time, n int, steps iter.Seq[Step]) []byte {
	var c calendar
	c.line("BEGIN:VCALENDAR")
	c.line("VERSION:2.0")
	c.line("PRODID:-//dormouse//forecast//EN")
	c.text("X-WR-CALNAME", name)
	for s := range steps {
		if n <= 0 {
			break
		}
		if s.Kind == KindBuild {
			c.event(s, stamp)
			n--
		}
	}
	c.line("END:VCALENDAR")
	return []byte(c.b.String())
}

// calendar writes lines as the format wants them.
type calendar struct{ b strings.Builder }

func (c *calendar) event(s Step, stamp time.Time) {
	c.line("BEGIN:VEVENT")
	c.line(fmt.Sprintf("UID:%s-%s-%d@dormouse", s.WorkspaceID, s.Transition, s.When.Unix()))
	c.line("DTSTAMP:" + utc(stamp))
	c.line("DTSTART:" + utc(s.When))
	c.text("SUMMARY", s.Workspace+" "+s.verb())
	c.text("DESCRIPTION", s.String())
	c.line("TRANSP:TRANSPARENT") // it makes nobody busy
	c.line("END:VEVENT")
}

func utc(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

var escaped = strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

func (c *calendar) text(name, value string) { c.line(name + ":" + escaped.Replace(printable(value))) }

// printable leaves out what the format forbids in texts: controls, and bytes that are no text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// line ends with CRLF and is folded after 75 bytes, never within a character.
func (c *calendar) line(s string) {
	for limit := 75; len(s) > limit; limit = 74 { // a continued line begins with a space
		cut := limit
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		c.b.WriteString(s[:cut] + "\r\n ")
		s = s[cut:]
	}
	c.b.WriteString(s + "\r\n")
}
