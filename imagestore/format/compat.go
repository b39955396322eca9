package format

import (
	"fmt"
	"strconv"
	"strings"
)

// Compat is the line TOOL:COMPRESSOR:FILESYSTEM:KB as OpenGnsys' own ogGetImageInfo prints it, with the sizes that it reads
// from what the tools print for people: rounded, and in units that it takes for others. It is for comparing with lists of
// an old server, not for deciding what fits where. OpenGnsys knows no compressor but LZOP and GZIP.
func (i Info) Compat() string {
	switch i.Tool {
	case Partclone:
		return i.compatLine(strings.ToUpper(strings.ReplaceAll(partcloneFilesystem(i), " ", "")), i.compatPartclone())
	case Ntfsclone:
		return i.compatLine(i.Filesystem, i.RequiredBytes/1000)
	case Partimage:
		filesystem := i.Filesystem
		if family(filesystem) == "EXT" {
			filesystem += "FS"
		}
		return i.compatLine(filesystem, int64(partimageFigure(i.RequiredBytes)*1024*1024))
	}
	return "partclone.dd:" + i.Compressor + "::" // OpenGnsys has a look at the first sector, no more
}

func (i Info) compatLine(filesystem string, size int64) string {
	return fmt.Sprintf("%s:%s:%s:%d", i.Tool, i.Compressor, filesystem, size)
}

// compatPartclone multiplies the figure of partclone.info: by a million when any of the three sizes that it prints is in GB
// (of 10^9 bytes, so that the result is in units of 1000 bytes), else by 1024, whatever its unit.
func (i Info) compatPartclone() int64 {
	size := i.Blocks * int64(i.BlockSize)
	if size == 0 {
		size = i.RequiredBytes // what knows of no blocks
	}
	figure, unit := partcloneFigure(size)
	factor := 1024.0
	_, used := partcloneFigure(i.UsedBytes)
	_, free := partcloneFigure(size - i.UsedBytes)
	if unit == "GB" || used == "GB" || free == "GB" {
		factor = 1e6
	}
	return int64(figure * factor)
}

// partcloneFigure is a size as partclone prints it, in powers of 1000 to one decimal. Partclone divides in single precision.
func partcloneFigure(size int64) (figure float64, unit string) {
	units := []struct {
		name  string
		bytes int64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}}
	for _, u := range units {
		if size >= u.bytes {
			return asPrinted(float64(float32(size)/float32(u.bytes)), 1), u.name
		}
	}
	return float64(size), "Byte"
}

// partimageFigure is a size as partimage prints it, in powers of 1024 to two decimals, without its unit.
func partimageFigure(size int64) float64 {
	for shift := 40; shift > 0; shift -= 10 {
		if size >= 1<<shift {
			return asPrinted(float64(size)/float64(int64(1)<<shift), 2)
		}
	}
	return float64(size)
}

// asPrinted rounds to so many decimals.
func asPrinted(figure float64, decimals int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(figure, 'f', decimals, 64), 64)
	return rounded
}
