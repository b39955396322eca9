package webui

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"aula/imagestore"
	"aula/webui/api"
)

func (s *Server) routeTorrents(a huma.API) {
	type which struct {
		Torrent string `path:"torrent" maxLength:"128" doc:"Info-hash, or name of the image"`
	}
	const tag = "torrents"
	route(s, a, "GET", "/torrents", tag, "List the images that move by BitTorrent now, and what each PC does", 200,
		func(context.Context, *none) ([]api.Torrent, error) {
			swarms, err := s.swarms()
			out := make([]api.Torrent, len(swarms))
			for i, w := range swarms {
				out[i] = apiTorrent(w)
			}
			return out, err
		})
	route(s, a, "GET", "/torrents/{torrent}", tag, "One of them, by its info-hash or the name of its image", 200,
		func(_ context.Context, in *which) (api.Torrent, error) {
			swarms, err := s.swarms()
			if err != nil {
				return api.Torrent{}, err
			}
			for _, w := range swarms {
				if w.Hash.String() == in.Torrent || w.Known && w.Image.Name == in.Torrent {
					return apiTorrent(w), nil
				}
			}
			return api.Torrent{}, fmt.Errorf("%w: nobody fetches or gives %.140q by BitTorrent now", imagestore.ErrNotFound, in.Torrent)
		})
}

func apiTorrent(w swarm) api.Torrent {
	out := api.Torrent{
		InfoHash: w.Hash.String(), Name: w.Name, Image: w.Image.Name, Repository: w.Image.Repository, Revision: w.Image.Revision, Size: w.Size,
		Seeding: w.Seeding, Uploaded: w.Uploaded, UpRate: w.UpRate, Ratio: w.Copies(), Complete: w.Complete(), Peers: make([]api.TorrentPeer, len(w.Peers)),
	}
	if w.Err != nil {
		out.Problem = w.Err.Error()
	}
	for i, p := range w.Peers {
		out.Peers[i] = api.TorrentPeer{
			Address: p.Address.String(), ComputerID: p.ComputerID, Computer: p.Computer, Client: p.Client, State: p.State, Have: p.Have,
			Downloaded: p.Downloaded, Uploaded: p.Uploaded, DownRate: p.DownRate, UpRate: p.UpRate, Ratio: p.Ratio(), Since: p.Since, Seen: p.Seen,
		}
	}
	return out
}
