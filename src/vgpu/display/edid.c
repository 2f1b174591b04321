/* SPDX-License-Identifier: MIT */
/*
 * Writes EDIDs (VESA E-EDID release A, EDID 1.3; CTA-861 for the HDMI block).  1.3 and not 1.4
 * because a 1.4 monitor must declare itself continuous to have reduced blanking believed, and a
 * driver then offers every mode there is instead of those listed here.  Pure function, any
 * thread; called when a monitor is created or changes its mode.
 */
#include "vgpu/display/edid.h"

#include <string.h>

#define DVI_MAX_KHZ	  165000u /* single link; above it only an HDMI sink is believed */
#define HDMI_MAX_TMDS_MHZ 300u
#define DPI		  96u
#define DESCRIPTOR_BYTES  18u
#define MANUFACTURE_YEAR  2024u

struct size {
	uint16_t width, height;
};

/* Fields of the established timings I and II (bytes 35 and 36). */
static const struct {
	struct size size;
	uint8_t byte, bit;
} established[] = {
	{ { 640, 480 }, 35, BIT(5) },
	{ { 800, 600 }, 35, BIT(0) },
	{ { 1024, 768 }, 36, BIT(3) },
};

/* Standard timings: eight at most, a multiple of 8 pixels wide, of one of four aspects. */
static const struct {
	struct size size;
	uint8_t aspect;
} standard[] = {
	{ { 1280, 720 }, 3 }, { { 1280, 800 }, 0 },  { { 1280, 1024 }, 2 }, { { 1440, 900 }, 0 },
	{ { 1600, 900 }, 3 }, { { 1680, 1050 }, 0 }, { { 1920, 1080 }, 3 }, { { 1920, 1200 }, 0 },
};
_Static_assert(ARRAY_SIZE(standard) <= 8, "an EDID holds eight standard timings");

static void put_le16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static void block_checksum(uint8_t *block)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < VGPU_EDID_BLOCK_BYTES - 1; i++)
		sum = (uint8_t)(sum + block[i]);
	block[VGPU_EDID_BLOCK_BYTES - 1] = (uint8_t)-sum;
}

static uint32_t size_mm(uint32_t pixels)
{
	return pixels * 254 / (DPI * 10);
}

/* Below the preferred mode, so that every mode offered fits a framebuffer made for that one. */
static bool below(const struct size *size, const struct vgpu_timing *t)
{
	return size->width <= t->hdisplay && size->height <= t->vdisplay &&
	       (size->width < t->hdisplay || size->height < t->vdisplay);
}

static void header_write(uint8_t *edid, const struct vgpu_timing *t, uint32_t serial)
{
	static const uint8_t pattern[8] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 };
	uint32_t id = ('M' - '@') << 10 | ('D' - '@') << 5 | ('V' - '@');

	memcpy(edid, pattern, sizeof(pattern));
	edid[8] = (uint8_t)(id >> 8);
	edid[9] = (uint8_t)id;
	put_le16(edid + 10, 0x4d31);
	put_le16(edid + 12, serial);
	put_le16(edid + 14, serial >> 16);
	edid[16] = 1; /* week */
	edid[17] = MANUFACTURE_YEAR - 1990;
	edid[18] = 1;
	edid[19] = 3;
	edid[20] = 0x80; /* digital */
	edid[21] = (uint8_t)((size_mm(t->hdisplay) + 5) / 10);
	edid[22] = (uint8_t)((size_mm(t->vdisplay) + 5) / 10);
	edid[23] = 120;	 /* gamma 2.2 */
	edid[24] = 0x0e; /* RGB colour, sRGB, first descriptor is the preferred mode */
}

/* The chromaticities of sRGB, ten bits each. */
static void chromaticity_write(uint8_t *edid)
{
	static const uint8_t srgb[10] = {
		0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54
	};

	memcpy(edid + 25, srgb, sizeof(srgb));
}

static void standard_write(uint8_t *edid, const struct vgpu_timing *t)
{
	size_t slot = 0;

	for (size_t i = 0; i < ARRAY_SIZE(established); i++) {
		if (below(&established[i].size, t))
			edid[established[i].byte] |= established[i].bit;
	}
	memset(edid + 38, 0x01, 16); /* unused */
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
		if (!below(&standard[i].size, t))
			continue;
		edid[38 + 2 * slot] = (uint8_t)(standard[i].size.width / 8 - 31);
		edid[39 + 2 * slot] = (uint8_t)(standard[i].aspect << 6); /* 60 Hz: 0 */
		slot++;
	}
}

static void detailed_write(uint8_t *d, const struct vgpu_timing *t)
{
	uint32_t hblank = t->htotal - t->hdisplay, vblank = t->vtotal - t->vdisplay;
	uint32_t hfront = t->hsync_start - t->hdisplay, hsync = t->hsync_end - t->hsync_start;
	uint32_t vfront = t->vsync_start - t->vdisplay, vsync = t->vsync_end - t->vsync_start;
	uint32_t hmm = size_mm(t->hdisplay), vmm = size_mm(t->vdisplay);

	put_le16(d, t->clock_khz / 10);
	d[2] = (uint8_t)t->hdisplay;
	d[3] = (uint8_t)hblank;
	d[4] = (uint8_t)((t->hdisplay >> 8) << 4 | hblank >> 8);
	d[5] = (uint8_t)t->vdisplay;
	d[6] = (uint8_t)vblank;
	d[7] = (uint8_t)((t->vdisplay >> 8) << 4 | vblank >> 8);
	d[8] = (uint8_t)hfront;
	d[9] = (uint8_t)hsync;
	d[10] = (uint8_t)((vfront & 15) << 4 | (vsync & 15));
	d[11] = (uint8_t)((hfront >> 8) << 6 | (hsync >> 8) << 4 | (vfront >> 4) << 2 | vsync >> 4);
	d[12] = (uint8_t)hmm;
	d[13] = (uint8_t)vmm;
	d[14] = (uint8_t)((hmm >> 8) << 4 | vmm >> 8);
	d[17] = (uint8_t)(0x18 | (t->vsync_positive ? BIT(2) : 0) |
			  (t->hsync_positive ? BIT(1) : 0));
}

static void text_write(uint8_t *d, uint8_t tag, const char *text)
{
	size_t len = strlen(text);

	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, MIN(len, 13));
	if (len < 13)
		d[5 + len] = '\n';
}

/* Wide enough for the preferred mode and everything below it. */
static void range_write(uint8_t *d, const struct vgpu_timing *t)
{
	uint32_t refresh = (vgpu_timing_refresh_mhz(t) + 999) / 1000;
	uint32_t hsync_khz = (t->clock_khz + t->htotal - 1) / t->htotal;
	uint32_t hsync_low = t->clock_khz / t->htotal;

	d[3] = 0xfd;
	d[5] = (uint8_t)MIN(56u, refresh - 2);
	d[6] = (uint8_t)(MAX(75u, refresh) + 1);
	d[7] = (uint8_t)MIN(30u, hsync_low);
	d[8] = (uint8_t)MIN(MAX(80u, hsync_khz), 255u);
	d[9] = (uint8_t)(MAX(200000u, t->clock_khz + 9999) / 10000);
	d[10] = 0x00; /* no secondary timing formula */
	d[11] = '\n';
	memset(d + 12, ' ', 6);
}

/* CTA-861 extension: an HDMI sink, so that i915 goes beyond a DVI link's 165 MHz. */
static void cta_write(uint8_t *cta)
{
	static const uint8_t blocks[] = {
		0x41, 0x01,	  /* video: VIC 1, 640x480, the one every HDMI sink has */
		0xe2, 0x00, 0x4a, /* capabilities: RGB range selectable, underscans */
		0x67, 0x03, 0x0c, 0x00, 0x10, 0x00, 0x00, HDMI_MAX_TMDS_MHZ / 5, /* HDMI VSDB */
	};

	memset(cta, 0, VGPU_EDID_BLOCK_BYTES);
	cta[0] = 0x02;
	cta[1] = 3;
	cta[2] = 4 + sizeof(blocks);
	cta[3] = 0x81; /* underscans by itself; one native descriptor; no audio, RGB only */
	memcpy(cta + 4, blocks, sizeof(blocks));
	block_checksum(cta);
}

size_t vgpu_edid_build(enum vgpu_port_kind kind, const struct vgpu_timing *timing, uint32_t serial,
		       uint8_t edid[VGPU_EDID_MAX_BYTES])
{
	bool cta = kind == VGPU_PORT_HDMI && timing->clock_khz > DVI_MAX_KHZ;
	uint8_t *descriptor = edid + 54;

	memset(edid, 0, VGPU_EDID_MAX_BYTES);
	header_write(edid, timing, serial);
	chromaticity_write(edid);
	standard_write(edid, timing);
	detailed_write(descriptor, timing);
	text_write(descriptor + DESCRIPTOR_BYTES, 0xfc, "Mediant");
	range_write(descriptor + 2 * DESCRIPTOR_BYTES, timing);
	descriptor[3 * DESCRIPTOR_BYTES + 3] = 0x10; /* no fourth descriptor */
	edid[126] = cta;
	block_checksum(edid);
	if (!cta)
		return VGPU_EDID_BLOCK_BYTES;
	cta_write(edid + VGPU_EDID_BLOCK_BYTES);
	return VGPU_EDID_MAX_BYTES;
}
