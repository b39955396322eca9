package torrent_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// aulaPeer is a peer of ours, or the seeder.
func aulaPeer(ctx context.Context, r role) error {
	meta, err := metainfo.ReadFile(r.Torrent)
	if err != nil {
		return err
	}
	task := &torrent.Task{Torrent: meta, Mode: torrent.Peer, Linger: -1}
	if r.Seed {
		task.Mode = torrent.Seeder
		task.Storage, err = torrent.OpenSeed(r.file(meta), meta)
	} else {
		var file *torrent.FileStorage
		file, err = torrent.OpenFile(ctx, r.Folder, meta, torrent.FileOptions{})
		task.Storage = announced{file}
	}
	if err != nil {
		return err
	}
	client, err := torrent.NewClient(torrent.Config{Listen: r.Address})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return client.Run(ctx) })
	group.Go(func() error { return client.Do(ctx, task) })
	return group.Wait()
}

// An announced file tells the bench when it is there.
type announced struct{ *torrent.FileStorage }

func (a announced) Finish() error {
	err := a.FileStorage.Finish()
	if err == nil {
		completed()
	}
	return err
}

// trackerProgram is our tracker, of one torrent. It prints "ready", and of each peer when it announces itself first and when it is complete:
// "peer 10.77.1.1 left 0".
func trackerProgram(ctx context.Context, r role) error {
	meta, err := metainfo.ReadFile(r.Torrent)
	if err != nil {
		return err
	}
	server := tracker.NewServer(tracker.Config{
		Lookup: func(h metainfo.Hash) (tracker.Torrent, bool) {
			return tracker.Torrent{Name: meta.Name, Size: meta.Length}, h == meta.Hash
		},
	})
	listener, err := net.Listen("tcp", r.Address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx, listener, nil) })
	group.Go(func() error {
		told := map[string]bool{}
		for ticks := time.Tick(50 * time.Millisecond); ; {
			for _, s := range server.Swarms() {
				for _, p := range s.Peers {
					line := fmt.Sprintf("peer %s left some", p.Address.Addr())
					if p.Left == 0 {
						line = fmt.Sprintf("peer %s left 0", p.Address.Addr())
					}
					if !told[line] {
						told[line] = true
						fmt.Println(line)
					}
				}
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticks:
			}
		}
	})
	return group.Wait()
}
