//go:build anacrolix

package torrent_test

import (
	"context"
	"log/slog"
	"runtime"

	"github.com/anacrolix/generics"
	anacrolix "github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/mse"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/time/rate"
)

// The library's own client as a comparator, with what it can do for a LAN. It makes the binary of the tests 20 MB larger, and is built with
// -tags anacrolix,nosqlite,noboltdb.
func init() {
	// It reads and writes files, as the others do: pages that are mapped would count as its memory.
	engines = append(engines, ours("anacrolix", "TORRENT_STORAGE_DEFAULT_FILE_IO=classic"))
	programs["anacrolix"] = anacrolixPeer
}

func anacrolixPeer(ctx context.Context, r role) error {
	c := anacrolix.NewDefaultClientConfig()
	c.SetListenAddr(r.Address)
	c.DisableIPv6, c.DisableUTP, c.NoDHT, c.PeriodicallyAnnounceTorrentsToDht = true, true, true, false
	c.DisablePEX, c.DisableWebtorrent, c.DisableWebseeds, c.NoDefaultPortForwarding = true, true, true, true
	c.HeaderObfuscationPolicy = anacrolix.HeaderObfuscationPolicy{Preferred: false, RequirePreferred: true}
	c.CryptoProvides = mse.CryptoMethodPlaintext
	c.Seed, c.AlwaysWantConns, c.DropDuplicatePeerIds = true, true, true
	c.DialRateLimiter = rate.NewLimiter(rate.Inf, 0)
	c.MaxUnverifiedBytes = 256 << 20
	c.PieceHashersPerTorrent = runtime.NumCPU()
	c.Slogger = slog.New(slog.DiscardHandler)
	completion := storage.NewMapPieceCompletion()
	c.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{
		ClientBaseDir: r.Folder, PieceCompletion: completion, UsePartFiles: generics.Some(false),
	})
	m, err := metainfo.LoadFromFile(r.Torrent)
	if err != nil {
		return err
	}
	if r.Seed {
		info, err := m.UnmarshalInfo()
		if err != nil {
			return err
		}
		for piece := range info.NumPieces() {
			if err := completion.Set(metainfo.PieceKey{InfoHash: m.HashInfoBytes(), Index: piece}, true); err != nil {
				return err
			}
		}
	}
	client, err := anacrolix.NewClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	t, err := client.AddTorrent(m)
	if err != nil {
		return err
	}
	if !r.Seed {
		t.DownloadAll()
		select {
		case <-t.Complete().On():
			completed()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	<-ctx.Done()
	return ctx.Err()
}
