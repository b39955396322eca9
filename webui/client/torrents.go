package client

import (
	"context"

	"aula/webui/api"
)

// Torrents returns the images that move by BitTorrent now, by name, and what each PC does.
func (c *Client) Torrents(ctx context.Context) ([]api.Torrent, error) {
	return get[[]api.Torrent](ctx, c, "/torrents")
}

// Torrent returns one of them, by its info-hash or the name of its image.
func (c *Client) Torrent(ctx context.Context, torrent string) (api.Torrent, error) {
	return get[api.Torrent](ctx, c, "/torrents"+seg(torrent))
}
