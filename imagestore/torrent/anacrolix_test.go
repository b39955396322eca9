//go:build anacrolix

package torrent_test

import _ "github.com/anacrolix/torrent"
