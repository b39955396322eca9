package api

import "time"

// Torrent is an image that moves by BitTorrent now, and who is there for it.
type Torrent struct {
	InfoHash   string `json:"infoHash" doc:"40 hexadecimal digits. Who knows it can fetch the image: keep it to yourself"`
	Name       string `json:"name" doc:"Of the file"`
	Image      string `json:"image,omitempty"`
	Repository string `json:"repository,omitempty"`
	Revision   int    `json:"revision,omitempty"`
	Size       int64  `json:"size" doc:"Bytes of the file"`
	Seeding    bool   `json:"seeding" doc:"The appliance has it open, and gives it"`
	Problem    string `json:"problem,omitempty" doc:"Why the appliance gives it no more"`
	// Uploaded and UpRate are the appliance's own.
	Uploaded int64         `json:"uploaded" doc:"Bytes that the appliance gave, until nobody was there for ten minutes"`
	UpRate   int64         `json:"upRate" doc:"byte/s that the appliance gives"`
	Ratio    float64       `json:"ratio" doc:"How many times over the appliance gave the file"`
	Complete int           `json:"complete" doc:"Peers that have all of it"`
	Peers    []TorrentPeer `json:"peers"`
}

// TorrentPeer is one program on one PC.
type TorrentPeer struct {
	Address    string    `json:"address" example:"10.0.0.17:6881"`
	ComputerID string    `json:"computerID,omitempty" doc:"Of the PC that has this address; empty when none of the catalog has"`
	Computer   string    `json:"computer,omitempty" doc:"Its name"`
	Client     string    `json:"client,omitempty" doc:"Program and version"`
	State      string    `json:"state" enum:"fetching,sharing,silent,left"`
	Have       int64     `json:"have" doc:"Bytes that it has"`
	Downloaded int64     `json:"downloaded" doc:"Bytes since it began"`
	Uploaded   int64     `json:"uploaded" doc:"Bytes since it began"`
	DownRate   int64     `json:"downRate" doc:"byte/s"`
	UpRate     int64     `json:"upRate" doc:"byte/s"`
	Ratio      float64   `json:"ratio" doc:"What it gave for what it got"`
	Since      time.Time `json:"since"`
	Seen       time.Time `json:"seen" doc:"When it was last heard"`
}
