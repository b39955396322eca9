package metainfo

import (
	"crypto/sha1"

	"github.com/anacrolix/torrent/bencode"
)

// createdBy is the program that torrents name.
const createdBy = "Aula"

// New makes a private torrent of what is known of a file; pieces are as a Hasher makes them.
func New(name string, length, pieceLength int64, pieces []byte) (*Torrent, error) {
	t := &Torrent{Name: name, Length: length, PieceLength: pieceLength, Pieces: pieces, Private: true}
	if err := t.check(); err != nil {
		return nil, err
	}
	t.info = t.encodeInfo()
	t.Hash = sha1.Sum(t.info)
	return t, nil
}

// A metafile is a .torrent as it is written; its keys are sorted.
type metafile struct {
	Announce string        `bencode:"announce,omitempty"`
	Tiers    [][]string    `bencode:"announce-list,omitempty"`
	Comment  string        `bencode:"comment,omitempty"`
	Creator  string        `bencode:"created by"`
	Info     bencode.Bytes `bencode:"info"`
}

// An infoDict is an info dictionary as it is written.
type infoDict struct {
	Length      int64  `bencode:"length"`
	Name        string `bencode:"name"`
	PieceLength int64  `bencode:"piece length"`
	Pieces      []byte `bencode:"pieces"`
	Private     int    `bencode:"private,omitempty"`
}

// Encode returns the .torrent, which says no dates: the same Torrent always makes the same bytes. The info dictionary of one that was parsed is
// written as it was read, so that the Hash stays.
func (t *Torrent) Encode() []byte {
	m := metafile{Comment: t.Comment, Creator: createdBy, Info: t.info}
	if len(t.Announce) > 0 {
		m.Announce = t.Announce[0]
	}
	if len(t.Announce) > 1 {
		for _, u := range t.Announce {
			m.Tiers = append(m.Tiers, []string{u}) // a tier each (BEP 12): they are asked in this order
		}
	}
	if m.Info == nil {
		m.Info = t.encodeInfo()
	}
	return bencode.MustMarshal(m) // strings and numbers can always be written
}

func (t *Torrent) encodeInfo() []byte {
	i := infoDict{Length: t.Length, Name: t.Name, PieceLength: t.PieceLength, Pieces: t.Pieces}
	if t.Private {
		i.Private = 1
	}
	return bencode.MustMarshal(i)
}
