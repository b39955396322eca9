package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// torrentSeedCommand is `aula torrent seed`.
type torrentSeedCommand struct {
	torrentFlags
	File        []string   `arg:"" help:"Files to give." type:"path"`
	Tracker     trackerURL `help:"Tracker to use, in place of one of its own." placeholder:"URL"`
	TrackerPort uint16     `help:"Port of its own tracker, TCP and UDP." default:"6969" placeholder:"PORT"`
	TorrentDir  string     `help:"Folder for the .torrents; that of each file when left out." type:"path" placeholder:"DIR"`
	Check       bool       `help:"Read the files again, whatever their .torrents say."`
}

// Help is what --help says beside the flags.
func (c *torrentSeedCommand) Help() string {
	return `Example: aula torrent seed win10.img

It makes win10.img.torrent when that is missing, is of another name or size, or is older than the file; otherwise it believes it, unless
--check is given. Copy it to each PC, and type there: aula torrent get win10.img.torrent

It gives the files until it is interrupted, and runs a tracker on port 6969 for them, which knows no others, unless --tracker names one.

Exit status: 0 it was interrupted while it gave; 1 a file was not given, or not any more, for the reason printed; 2 no such file, or a flag
is not right.`
}

// Run seeds.
func (c *torrentSeedCommand) Run(ctx context.Context) error {
	s := &seeding{torrentSeedCommand: c, news: newSeedNews(c.JSON)}
	warn(linkProblems(c.Interface)...)
	err := torrentError(s.run(ctx))
	for _, line := range s.news.summary() {
		if !c.JSON {
			fmt.Println(line)
		}
	}
	if c.JSON {
		told := torrentVerdict(err)
		if err == nil {
			told.Result = "ended" // there is no end of giving
		}
		return errors.Join(err, printJSONLine(struct {
			Torrents []torrentReport `json:"torrents"`
			Elapsed  time.Duration   `json:"elapsed"` // nanoseconds
			verdict
		}{s.news.last(), time.Since(s.news.begun), told}))
	}
	return err
}

// A seeding is `aula torrent seed` at work.
type seeding struct {
	*torrentSeedCommand
	news    *seedNews
	tracker *ownTracker // nil when another is used
}

// A seed is a file that is given.
type seed struct {
	path    string
	meta    *metainfo.Torrent
	torrent string // path of its .torrent
}

// run seeds until the context ends.
func (s *seeding) run(ctx context.Context) (err error) {
	for _, file := range s.File { // all of them before the work on the first
		if _, err := fileToSeed(file); err != nil {
			return err
		}
	}
	if s.Tracker == "" {
		if s.TrackerPort == 0 {
			return exitError{errors.New("--tracker-port 0: it must be from 1 to 65535, for the .torrents name it"), exitNoFile}
		}
		if s.tracker, err = newOwnTracker(s.Interface, s.TrackerPort); err != nil {
			return err
		}
		served, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until the tasks have said that they leave
		ended := make(chan error, 1)
		go func() { ended <- s.tracker.serve(served) }()
		defer func() { cancel(); err = errors.Join(err, <-ended) }()
	}
	client, err := s.open(false)
	if err != nil {
		return err
	}
	stop := taking(ctx, client)
	defer func() { err = errors.Join(err, stop()) }()
	seeds, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	return s.give(ctx, client, seeds)
}

// prepare sees to it that each file has its .torrent.
func (s *seeding) prepare(ctx context.Context) (seeds []seed, err error) {
	maker := torrentMaker{dir: s.TorrentDir, check: s.Check, announce: s.announce, say: s.news.say, progress: newBar()}
	for _, file := range s.File {
		if slices.ContainsFunc(seeds, func(other seed) bool { return other.path == file }) {
			continue
		}
		meta, path, err := maker.of(ctx, file)
		if err != nil {
			return nil, err
		}
		for _, other := range seeds {
			if other.meta.Hash == meta.Hash || other.torrent == path {
				return nil, fmt.Errorf("%s and %s have one .torrent: give one of them", other.path, file)
			}
		}
		seeds = append(seeds, seed{file, meta, path})
	}
	return seeds, nil
}

// announce is the tracker that .torrents name.
func (s *seeding) announce() (string, error) {
	if s.tracker == nil {
		return string(s.Tracker), nil
	}
	return s.tracker.url()
}

// trackers are those to which a file is announced: the one in use, and those that its .torrent names besides.
func (s *seeding) trackers(meta *metainfo.Torrent) (all []string, named bool) {
	all = []string{string(s.Tracker)}
	if s.tracker != nil {
		all = []string{s.tracker.own()}
	}
	for _, u := range meta.Announce {
		if u == all[0] || s.tracker != nil && s.tracker.is(u) {
			named = true
			continue
		}
		all = append(all, u)
	}
	return all, named
}

// command is what to type on a PC.
func (s *seeding) command(d seed) string {
	line := "aula torrent get " + filepath.Base(d.torrent)
	if _, named := s.trackers(d.meta); named {
		return line
	}
	// The .torrent is believed, and left as somebody made it.
	if u, err := s.announce(); err == nil {
		return line + " --tracker " + u
	}
	return line + " --tracker http://ADDRESS-OF-THIS-MACHINE:PORT/announce"
}

// give gives the files until the context ends.
func (s *seeding) give(ctx context.Context, client *torrent.Client, seeds []seed) error {
	type end struct {
		seed
		err error
	}
	interrupted := ctx.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan end, len(seeds))
	for _, d := range seeds {
		trackers, _ := s.trackers(d.meta)
		s.news.begin(d.meta)
		if s.tracker != nil {
			s.tracker.add(d.meta)
		}
		s.news.say(fmt.Sprintf("seeding %s (%s, %s); on a PC that has %s: %s", d.path, disk.FormatSize(d.meta.Length),
			count(d.meta.Count(), "piece", "pieces"), d.torrent, s.command(d)))
		go func() {
			storage, err := torrent.OpenSeed(d.path, d.meta)
			if err == nil {
				err = client.Do(ctx, &torrent.Task{Torrent: d.meta, Storage: storage, Mode: torrent.Seeder, Linger: -1, Trackers: trackers})
			}
			ended <- end{d, err}
		}()
	}
	tick := time.NewTicker(showEvery)
	defer tick.Stop()
	var failed error
	for left := len(seeds); left > 0; {
		select {
		case <-tick.C:
			s.news.tell(client.Status(), s.visitors(client))
		case <-interrupted:
			interrupted = nil
			s.news.tell(client.Status(), s.visitors(client))
			cancel()
		case e := <-ended:
			left--
			if e.err != nil && !errors.Is(e.err, context.Canceled) {
				failed = fmt.Errorf("%s is not given any more: %w", e.path, e.err)
				s.news.failed(e.meta, failed, left > 0)
			}
		}
	}
	s.news.progress.end()
	return failed
}

// visitors are the peers of the files: by the tracker, when it is our own, for it knows all of them and how far they are.
func (s *seeding) visitors(client *torrent.Client) (all []visitor) {
	if s.tracker == nil {
		for _, t := range client.Status() {
			for _, p := range t.Peers {
				all = append(all, visitor{t.Name, p.Address, p.Client, p.Have == t.Pieces})
			}
		}
		return all
	}
	for _, w := range s.tracker.Swarms() {
		for _, p := range w.Peers {
			if p.Address.Port() != client.Port() || !s.tracker.here(p.Address.Addr()) {
				all = append(all, visitor{w.Name, p.Address, p.Client, p.Left == 0})
			}
		}
	}
	return all
}
