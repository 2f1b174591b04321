/* SPDX-License-Identifier: MIT */
/*
 * Lengths of the messages that a VNC client sends once it is connected (RFC 6143, 7.5, and the
 * extensions that the library knows).  The server's thread asks before it lets the library read,
 * since the library waits inside a message for what is missing of it.
 */
#include "display/request.h"

#include <rfb/rfbproto.h>

#define XVP_BYTES	       4u
#define SET_DESKTOP_SIZE_BYTES 8u
#define SCREEN_BYTES	       16u

static uint64_t fixed_bytes(uint8_t type)
{
	switch (type) {
	case rfbSetPixelFormat:
		return sz_rfbSetPixelFormatMsg;
	case rfbSetEncodings:
		return sz_rfbSetEncodingsMsg;
	case rfbFramebufferUpdateRequest:
		return sz_rfbFramebufferUpdateRequestMsg;
	case rfbKeyEvent:
		return sz_rfbKeyEventMsg;
	case rfbPointerEvent:
		return sz_rfbPointerEventMsg;
	case rfbClientCutText:
		return sz_rfbClientCutTextMsg;
	case rfbSetScale:
	case rfbPalmVNCSetScaleFactor:
		return sz_rfbSetScaleMsg;
	case rfbSetServerInput:
		return sz_rfbSetServerInputMsg;
	case rfbSetSW:
		return sz_rfbSetSWMsg;
	case rfbXvp:
		return XVP_BYTES;
	case rfbSetDesktopSize:
		return SET_DESKTOP_SIZE_BYTES;
	default:
		return UINT64_MAX;
	}
}

bool display_request_is_text(const uint8_t *head, size_t have)
{
	return have >= sz_rfbClientCutTextMsg && head[0] == rfbClientCutText;
}

uint64_t display_request_bytes(const uint8_t *head, size_t have)
{
	uint64_t bytes = fixed_bytes(head[0]);
	int32_t text;

	if (have < bytes)
		return bytes;
	switch (head[0]) {
	case rfbSetEncodings:
		return bytes + 4u * ((uint32_t)head[2] << 8 | head[3]);
	case rfbSetDesktopSize:
		return bytes + SCREEN_BYTES * (uint32_t)head[6];
	case rfbClientCutText:
		/* The extended clipboard marks its messages by a negative length. */
		text = (int32_t)((uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 |
				 (uint32_t)head[6] << 8 | head[7]);
		return bytes + (uint64_t)(text < 0 ? -(int64_t)text : text);
	default:
		return bytes;
	}
}
