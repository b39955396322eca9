package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// torrentGetCommand is `aula torrent get`.
type torrentGetCommand struct {
	torrentFlags
	File    string        `arg:"" help:"The .torrent." type:"path"`
	Mode    string        `help:"peer, leecher (gives nothing while it fetches) or seeder (gives the file that is here to the room), and seconds to go on sharing." default:"peer:60" placeholder:"MODE:SECONDS"`
	Output  string        `help:"Folder for the file; that of the .torrent when left out." type:"path" placeholder:"DIR"`
	Tracker []trackerURL  `help:"Tracker in place of those that the .torrent names; can be given more than once." sep:"none" placeholder:"URL"`
	Peer    []peerAddress `help:"A peer that is known beside the tracker's; can be given more than once." placeholder:"ADDR:PORT"`
	Encrypt bool          `help:"Obfuscate the connections that it makes."`
	Replace bool          `help:"Replace a file of that name that is not the torrent's, once the new one is complete."`
	Timeout patience      `help:"How long to go on when not one byte comes; 0 for ever." default:"15m" placeholder:"TIME"`
}

// Help is what --help says beside the flags.
func (c *torrentGetCommand) Help() string {
	return `Example: aula torrent get win10.img.torrent --mode peer:60

What comes is in NAME.partial until it is complete; when it is interrupted, the same command goes on where it was. When the file is
complete already, mode seeder shares it for the seconds, the others have nothing to do.

Exit status: 0 the file is complete; 1 it is not, for the reason printed; 2 no such .torrent, or a flag is not right; 5 the .torrent is
none, or of a kind that is not taken; 16 no room on the disk; 60 nothing came for the time of --timeout.`
}

// Run fetches.
func (c *torrentGetCommand) Run(ctx context.Context) error {
	f, err := c.fetch()
	if err != nil {
		return err
	}
	warn(linkProblems(c.Interface)...)
	path, err := f.run(ctx)
	err = torrentError(err)
	report := f.news.report
	report.Elapsed = time.Since(f.news.begun)
	if c.JSON {
		return errors.Join(err, printJSONLine(struct {
			Path string `json:"path"`
			torrentReport
			verdict
		}{path, report, torrentVerdict(err)}))
	}
	switch {
	case err != nil:
	case report.Resumed == report.Size && report.Mode != torrent.Seeder:
		fmt.Printf("%s: %s, complete already\n", path, disk.FormatSize(report.Size))
	default:
		fmt.Printf("%s: %s in %s, %s\n", path, disk.FormatSize(report.Size), report.Elapsed.Round(time.Second), report.gave())
	}
	return err
}

// fetch understands the words.
func (c *torrentGetCommand) fetch() (*fetch, error) {
	mode, linger, err := torrent.ParseMode(c.Mode)
	if err != nil {
		return nil, exitError{fmt.Errorf("--mode: %w", err), exitNoFile}
	}
	meta, err := metainfo.ReadFile(c.File)
	if err != nil {
		return nil, readError(c.File, err)
	}
	f := &fetch{torrentGetCommand: c, meta: meta, dir: c.Output, task: torrent.Task{Torrent: meta, Mode: mode, Linger: linger}}
	f.news = newFetchNews(meta, mode, c.JSON)
	if f.dir == "" {
		f.dir = filepath.Dir(c.File)
	}
	for _, u := range c.Tracker {
		f.task.Trackers = append(f.task.Trackers, string(u))
	}
	for _, p := range c.Peer {
		f.task.Peers = append(f.task.Peers, p.AddrPort)
	}
	return f, nil
}

// readError gives what is wrong with a .torrent its exit status.
func readError(path string, err error) error {
	var file *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exitError{fmt.Errorf("there is no file %s", path), exitNoFile}
	case errors.As(err, &file):
		return err
	}
	return exitError{err, exitNoTorrent}
}

// A fetch is `aula torrent get` at work.
type fetch struct {
	*torrentGetCommand
	meta *metainfo.Torrent
	dir  string
	task torrent.Task
	news *fetchNews
}

var errNothingComes = errors.New("nothing comes")

// run fetches, shares, and returns where the file is.
func (f *fetch) run(ctx context.Context) (path string, err error) {
	path = filepath.Join(f.dir, f.meta.Name)
	storage, err := f.storage(ctx)
	if err != nil {
		return path, err
	}
	have, err := storage.Have()
	if err != nil {
		return path, errors.Join(err, storage.Close())
	}
	all := f.news.resumed(have)
	switch {
	case all && f.task.Mode != torrent.Seeder:
		f.news.settle()
		return path, storage.Close()
	case all:
		f.news.say(path + " is complete already")
	case len(f.meta.Announce) == 0 && f.task.Trackers == nil && f.task.Peers == nil:
		err := fmt.Errorf("%s names no tracker: name one with --tracker URL, or a peer with --peer ADDR:PORT", f.File)
		return path, errors.Join(exitError{err, exitNoFile}, storage.Close())
	default:
		f.news.say(fmt.Sprintf("fetching %s (%s, %s) into %s", f.meta.Name, disk.FormatSize(f.meta.Length), count(f.meta.Count(), "piece", "pieces"), f.dir))
	}
	client, err := f.open(f.Encrypt)
	if err != nil {
		return path, errors.Join(err, storage.Close())
	}
	stop := taking(ctx, client)
	defer func() { err = errors.Join(err, stop()) }()
	return path, f.share(ctx, client, storage)
}

// storage opens the file, and checks what is there of it.
func (f *fetch) storage(ctx context.Context) (*torrent.FileStorage, error) {
	storage, err := torrent.OpenFile(ctx, f.dir, f.meta, torrent.FileOptions{Replace: f.Replace, Checking: f.news.checking})
	f.news.progress.end()
	switch {
	case errors.Is(err, fs.ErrExist):
		err = fmt.Errorf("%w (--replace, --output)", err)
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("%w: the same command goes on where it was", errInterrupted)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: choose another folder with --output", err)
	}
	return storage, err
}

// share takes part in the swarm, and tells how it goes.
func (f *fetch) share(ctx context.Context, client *torrent.Client, file *torrent.FileStorage) error {
	interrupted := ctx.Done()
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	storage := &watchedFile{FileStorage: file, finished: make(chan struct{})}
	f.task.Storage = storage
	done := make(chan error, 1)
	go func() { done <- client.Do(ctx, &f.task) }()
	look := func() {
		for _, s := range client.Status() {
			f.news.tell(s)
			f.tend(s, client.Port(), cancel)
		}
	}
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	finished := storage.finished
	for {
		select {
		case <-finished:
			finished = nil
			look()
			f.news.complete(f.task.Linger)
		case <-interrupted:
			interrupted = nil
			look()
			cancel(errInterrupted)
		case <-tick.C:
			look()
		case err := <-done:
			f.news.progress.end()
			if finished == nil || storage.isFinished() {
				f.news.settle()
				if errors.Is(err, errInterrupted) {
					return nil // the file is complete
				}
				return err
			}
			return f.shareError(ctx, err)
		}
	}
}

// tend says what may be wrong when nobody is there, and gives up when nothing comes.
func (f *fetch) tend(s torrent.Status, port uint16, cancel context.CancelCauseFunc) {
	if s.State != torrent.Fetching {
		return
	}
	silent, limit := f.news.silent(s), time.Duration(f.Timeout)
	over := limit > 0 && silent >= limit
	if over || silent >= silentEnough {
		f.news.warn(causes(s, port))
	}
	if over {
		cancel(errNothingComes)
	}
}

// shareError gives an error its exit status, and tells how to go on.
func (f *fetch) shareError(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errNothingComes):
		return exitError{fmt.Errorf("%w: not a byte in %s; the same command goes on where it was", cause, time.Duration(f.Timeout)), exitNobody}
	case errors.Is(cause, errInterrupted):
		return fmt.Errorf("%w: the same command goes on where it was", cause)
	}
	return err
}

// A watchedFile tells when the file is complete and on the disk.
type watchedFile struct {
	*torrent.FileStorage
	finished chan struct{}
}

// Finish is the storage's.
func (w *watchedFile) Finish() error {
	err := w.FileStorage.Finish()
	if err == nil {
		close(w.finished)
	}
	return err
}

func (w *watchedFile) isFinished() bool {
	select {
	case <-w.finished:
		return true
	default:
		return false
	}
}

// silentEnough is how long nothing comes before it is said what may be wrong.
const silentEnough = 5 * time.Second

// causes is what may be wrong when nothing comes.
func causes(s torrent.Status, port uint16) (likely []string) {
	if len(s.Peers) > 0 {
		for _, p := range s.Peers {
			if p.Have > 0 {
				return []string{"peers are there, and give nothing that is missing: they may lack it too, or be busy with others"}
			}
		}
		return []string{"peers are there, and have nothing yet: is somebody who has all of it?"}
	}
	const firewall = "is somebody seeding it ('aula torrent seed FILE'), and do the firewalls there and here let TCP port %d through?"
	answered := false
	for _, t := range s.Trackers {
		switch {
		case t.Err != nil:
			likely = append(likely, t.Err.Error())
		case !t.Next.IsZero():
			answered = true
		}
	}
	switch {
	case answered:
		likely = append(likely, fmt.Sprintf("the tracker answers, and knows nobody who can be reached: "+firewall, port))
	case len(s.Trackers) == 0:
		likely = append(likely, fmt.Sprintf("none of the peers that were named can be reached: "+firewall, port))
	}
	return likely
}
