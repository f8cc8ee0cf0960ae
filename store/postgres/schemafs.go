package postgres

import (
	"bytes"
	"io/fs"
)

// schemaFS shows SQL files with another schema's name in them.
type schemaFS struct {
	files  fs.FS
	schema string
}

// Open implements fs.FS.
func (f schemaFS) Open(name string) (fs.File, error) {
	file, err := f.files.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		return file, err
	}
	defer file.Close()
	text, err := fs.ReadFile(f.files, name)
	if err != nil {
		return nil, err
	}
	rendered := []byte(inSchema(string(text), f.schema))
	return &schemaFile{bytes.NewReader(rendered), schemaInfo{info, int64(len(rendered))}}, nil
}

type schemaFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *schemaFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *schemaFile) Close() error               { return nil }

// schemaInfo is that of the embedded file, but for the size.
type schemaInfo struct {
	fs.FileInfo
	size int64
}

func (i schemaInfo) Size() int64 { return i.size }
