package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
)

const torrentSuffix = ".torrent"

// A torrentMaker sees to it that files have a .torrent.
type torrentMaker struct {
	dir      string // for the .torrents; empty for the folder of each file
	check    bool   // also of those that look right, whether they are
	announce func() (string, error)
	say      func(line string)
	progress *bar
}

// of returns the torrent of a file, and where its .torrent is. One that is there is taken for what it says as long as it is of that name and
// size and not older than the file, as OpenGnsys does, which looks at name and size; otherwise it is made anew.
func (m torrentMaker) of(ctx context.Context, file string) (*metainfo.Torrent, string, error) {
	path := file + torrentSuffix
	if m.dir != "" {
		path = filepath.Join(m.dir, filepath.Base(path))
	}
	before, err := fileToSeed(file)
	if err != nil {
		return nil, path, err
	}
	known, why := m.known(path, before)
	if known != nil && !m.check {
		return known, path, nil
	}
	made, err := m.make(ctx, file, path, before, known, why)
	return made, path, err
}

// fileToSeed looks at a file that is to be given.
func fileToSeed(file string) (fs.FileInfo, error) {
	name := filepath.Base(file)
	if of, is := strings.CutSuffix(file, torrentSuffix); is {
		return nil, exitError{fmt.Errorf("%s is a .torrent: name the file that it is of, as in 'aula torrent seed %s'; 'aula torrent get %s' fetches it",
			file, filepath.Base(of), name), exitNoFile}
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, exitError{fmt.Errorf("there is no file %s", file), exitNoFile}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, exitError{fmt.Errorf("%s is a folder: name the files in it, as in %s/*.img", file, file), exitNoFile}
	case !info.Mode().IsRegular():
		return nil, exitError{fmt.Errorf("%s is no ordinary file", file), exitNoFile}
	case info.Size() == 0:
		return nil, exitError{fmt.Errorf("%s is empty: there is nothing to share", file), exitNoFile}
	}
	if err := metainfo.CheckName(name); err != nil {
		return nil, exitError{fmt.Errorf("%s: %w", file, err), exitNoFile}
	}
	return info, nil
}

// known returns the torrent that is there, or why it will not do; neither when there is none.
func (m torrentMaker) known(path string, file fs.FileInfo) (t *metainfo.Torrent, why string) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ""
	}
	if err == nil {
		t, err = metainfo.ReadFile(path)
	}
	switch {
	case err != nil:
		return nil, err.Error()
	case t.Name != file.Name():
		return nil, fmt.Sprintf("it is of a file named %s", t.Name)
	case t.Length != file.Size():
		return nil, fmt.Sprintf("it is of a file of %d bytes, and this one has %d", t.Length, file.Size())
	case info.ModTime().Before(file.ModTime()):
		return nil, "it is older than the file"
	}
	return t, ""
}

// make hashes the file and writes its .torrent, unless the known one proves right.
func (m torrentMaker) make(ctx context.Context, file, path string, before fs.FileInfo, known *metainfo.Torrent, why string) (*metainfo.Torrent, error) {
	pieceLength, verb := int64(0), "making"
	if known != nil {
		pieceLength, verb = known.PieceLength, "checking"
	} else if why != "" {
		verb = "making anew, for " + why + ":"
	}
	m.say(fmt.Sprintf("%s %s", verb, path))
	var out *os.File
	var url string
	if known == nil { // before the work, rather than after it
		var err error
		if url, err = m.announce(); err != nil {
			return nil, err
		}
		if out, err = newTorrentFile(path); err != nil {
			return nil, err
		}
		defer discard(out)
	}
	made, err := m.hash(ctx, file, before, pieceLength)
	if err != nil {
		return nil, err
	}
	switch {
	case known != nil && bytes.Equal(known.Pieces, made.Pieces):
		return known, nil
	case known != nil:
		m.say(fmt.Sprintf("%s is not what its .torrent says: making that anew", file))
		if url, err = m.announce(); err != nil {
			return nil, err
		}
		if out, err = newTorrentFile(path); err != nil {
			return nil, err
		}
		defer discard(out)
	}
	made.Announce = []string{url}
	if err := keep(out, path, made.Encode()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return made, nil
}

// hash makes the torrent of a file that nobody writes.
func (m torrentMaker) hash(ctx context.Context, file string, before fs.FileInfo, pieceLength int64) (*metainfo.Torrent, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	defer m.progress.end()
	name := before.Name()
	t, err := metainfo.Make(ctx, f, name, before.Size(), pieceLength, func(done, total int64) { m.progress.show("reading "+name, done, total) })
	if errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("%w while %s was read: begin again", errInterrupted, file)
	}
	if err != nil {
		return nil, err
	}
	after, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, after) || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return nil, fmt.Errorf("%s was written while it was read: begin again when it is complete", file)
	}
	return t, nil
}

// newTorrentFile begins a .torrent under another name.
func newTorrentFile(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".*"+torrentSuffix+".partial")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil, fmt.Errorf("%s cannot be written: choose a folder for it with --torrent-dir DIR: %w", path, err)
	}
	return f, err
}

// discard removes a .torrent that was begun; one that was kept has another name.
func discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// keep writes the .torrent and gives it its name once it is on the disk.
func keep(f *os.File, path string, content []byte) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
