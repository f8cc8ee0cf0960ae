package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// maxSpan bounds the time between the first and the last commit: a slip in a year would replay centuries of nothing.
const maxSpan = 3 * 366 * 24 * time.Hour

// author is a developer as the file knows one: a number and the instants of commits, each with the author's own offset.
type author struct {
	number  int
	commits []time.Time
}

// lineError says which line of which file is wrong, and why.
type lineError struct {
	file string
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// loadActivity reads commits, a header "developer,at" and then one a line in any order. Authors come back in the order of
// their numbers, their commits in the order of time.
func loadActivity(file string, text []byte) ([]author, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	if err := header(file, r); err != nil {
		return nil, err
	}
	byNumber := map[int]*author{}
	span := span{file: file}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		line, number, at, err := commit(r, fields, err)
		if err != nil {
			return nil, &lineError{file, line, err}
		}
		if err := span.add(line, at); err != nil {
			return nil, err
		}
		if byNumber[number] == nil {
			byNumber[number] = &author{number: number}
		}
		byNumber[number].commits = append(byNumber[number].commits, at)
	}
	return authors(file, byNumber)
}

func header(file string, r *csv.Reader) error {
	fields, err := r.Read()
	if errors.Is(err, io.EOF) {
		return &lineError{file, 1, errors.New("the file is empty")}
	}
	if err == nil && !slices.Equal(fields, []string{"developer", "at"}) {
		err = fmt.Errorf("the header is %q: must be developer,at", fields)
	}
	if err != nil {
		return &lineError{file, 1, reason(err)}
	}
	return nil
}

// commit reads one record, or says what is wrong with it.
func commit(r *csv.Reader, fields []string, err error) (line, number int, at time.Time, _ error) {
	if err != nil {
		var p *csv.ParseError
		if errors.As(err, &p) {
			line = p.Line
		}
		return line, 0, at, reason(err)
	}
	line, _ = r.FieldPos(0)
	if len(fields) != 2 {
		return line, 0, at, fmt.Errorf("%d fields: must be 2, developer and at", len(fields))
	}
	if number, err = strconv.Atoi(fields[0]); err != nil || number < 1 {
		return line, 0, at, fmt.Errorf("developer %q: must be a whole number from 1", fields[0])
	}
	if at, err = time.Parse(time.RFC3339, fields[1]); err != nil {
		return line, 0, at, fmt.Errorf("at %q: must be an instant with its offset, such as 2026-02-01T09:30:00+01:00", fields[1])
	}
	return line, number, at, nil
}

// reason is a parse error without the position, which is said in front of it.
func reason(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// span watches over the extent of the commits.
type span struct {
	file        string
	first, last time.Time
}

func (s *span) add(line int, at time.Time) error {
	if s.first.IsZero() || at.Before(s.first) {
		s.first = at
	}
	if at.After(s.last) {
		s.last = at
	}
	if d := s.last.Sub(s.first); d > maxSpan {
		return &lineError{s.file, line, fmt.Errorf("at %s: more than three years from another commit", at.Format(time.RFC3339))}
	}
	return nil
}

func authors(file string, byNumber map[int]*author) ([]author, error) {
	if len(byNumber) == 0 {
		return nil, &lineError{file, 2, errors.New("there are no commits")}
	}
	all := make([]author, 0, len(byNumber))
	for _, a := range byNumber {
		slices.SortFunc(a.commits, time.Time.Compare)
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b author) int { return a.number - b.number })
	return all, nil
}
