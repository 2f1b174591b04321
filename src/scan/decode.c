/* SPDX-License-Identifier: MIT */
/*
 * Prints commands for people: `mediant decode`, and the names in fault reports.  Pure but for the
 * stream it prints to; any thread.
 *
 * A field that is zero is not printed, an address always is.
 */
#include <errno.h>
#include <inttypes.h>

#include "scan/fields.h"
#include "scan/scan.h"

#define DWORDS_PER_LINE 8u

const char *scan_command_name(enum gpu_engine engine, uint32_t header)
{
	const struct gpu_command *command = gpu_command_find(engine, header);

	return command ? command->name : "unknown command";
}

/* The field's bits, in place: a field of an address keeps its low bits zero. */
static uint64_t field_value(const struct scan_field *field, const uint32_t *dwords, bool in_place)
{
	uint64_t value = dwords[0];

	if (field->high >= 32)
		value |= (uint64_t)dwords[1] << 32;
	if (field->high < 63)
		value &= BIT_ULL(field->high + 1) - 1;
	value >>= field->low;
	return in_place ? value << field->low : value;
}

static const char *space_name(const struct scan_field *field, const uint32_t *command)
{
	bool ggtt = field->space == SCAN_SPACE_GGTT;

	if (field->space == SCAN_SPACE_BASE)
		return "base";
	if (field->select_mask && !(command[field->select_dword] & field->select_mask))
		ggtt = !ggtt;
	return ggtt ? "ggtt" : "ppgtt";
}

static void print_field(FILE *out, const struct scan_field *field, const uint32_t *command,
			const uint32_t *dwords)
{
	uint64_t value = field_value(field, dwords, field->kind != SCAN_FIELD);

	switch (field->kind) {
	case SCAN_ADDR:
		fprintf(out, "    %s: %s 0x%" PRIx64 "\n", field->name, space_name(field, command),
			value);
		break;
	case SCAN_REG:
		fprintf(out, "    %s: 0x%05" PRIx64 "\n", field->name, value);
		break;
	default:
		if (!value)
			break;
		if (value < 10)
			fprintf(out, "    %s: %" PRIu64 "\n", field->name, value);
		else
			fprintf(out, "    %s: %" PRIu64 " (0x%" PRIx64 ")\n", field->name, value,
				value);
		break;
	}
}

/* True when the command at @command uses @field as what it is. */
static bool field_in_use(const struct scan_field *field, const uint32_t *command)
{
	if (field->if_mask && !(command[field->if_dword] & field->if_mask))
		return false;
	return !(command[field->unless_dword] & field->unless_mask);
}

/* True when @field lies within @left dwords. */
static bool field_fits(const struct scan_field *field, uint32_t left)
{
	return field->dword + field->high / 32u < left;
}

static void print_group(FILE *out, const struct scan_layout *layout, const uint32_t *command,
			uint32_t start, uint32_t dwords)
{
	for (unsigned int i = 0; i < layout->count; i++) {
		const struct scan_field *field = &layout->fields[i];

		if (field->in_group && field_fits(field, dwords - start) &&
		    field_in_use(field, command))
			print_field(out, field, command, &command[start + field->dword]);
	}
}

static void print_fields(FILE *out, const struct gpu_command *command, const uint32_t *at,
			 uint32_t dwords)
{
	const struct scan_layout *layout = &scan_layouts[command->id];

	for (unsigned int i = 0; i < layout->count; i++) {
		const struct scan_field *field = &layout->fields[i];

		if (!field->in_group && field_fits(field, dwords) && field_in_use(field, at))
			print_field(out, field, at, &at[field->dword]);
	}
	if (!layout->group_dwords)
		return;
	for (uint32_t start = layout->group_start; start < dwords; start += layout->group_dwords)
		print_group(out, layout, at, start, dwords);
}

static void print_dwords(FILE *out, const uint32_t *at, uint32_t dwords)
{
	for (uint32_t i = 0; i < dwords; i++)
		fprintf(out, "%s%08x%s", i % DWORDS_PER_LINE ? " " : "    | ", at[i],
			i % DWORDS_PER_LINE == DWORDS_PER_LINE - 1 || i + 1 == dwords ? "\n" : "");
}

/* The length of the command at @at, of which @left dwords are there; 0 with a line on @out. */
static uint32_t check(FILE *out, const struct gpu_command *command, uint32_t header, size_t left,
		      uint64_t address)
{
	uint32_t dwords;

	if (!command) {
		fprintf(out, "0x%012" PRIx64 ": %08x  unknown command: decoding stops here\n",
			address, header);
		return 0;
	}
	dwords = gpu_command_dwords(command, header);
	if (!dwords)
		fprintf(out,
			"0x%012" PRIx64 ": %08x  %s with a length it cannot have: decoding "
			"stops here\n",
			address, header, command->name);
	else if (dwords > left)
		fprintf(out, "0x%012" PRIx64 ": %08x  %s of %u dwords, but only %zu left\n",
			address, header, command->name, dwords, left);
	return dwords <= left ? dwords : 0;
}

int scan_decode(FILE *out, const uint32_t *dwords, size_t count,
		const struct scan_decode_options *options)
{
	int printed = 0;

	for (size_t i = 0; i < count;) {
		uint64_t address = options->address + 4 * (uint64_t)i;
		const struct gpu_command *command = gpu_command_find(options->engine, dwords[i]);
		uint32_t length = check(out, command, dwords[i], count - i, address);

		if (!length)
			return -EINVAL;
		fprintf(out, "0x%012" PRIx64 ": %08x  %s\n", address, dwords[i], command->name);
		if (options->show_dwords)
			print_dwords(out, &dwords[i], length);
		print_fields(out, command, &dwords[i], length);
		printed++;
		i += length;
		if (command == gpu_command_find(options->engine, 0x05000000) &&
		    !options->follow_end)
			break;
	}
	return printed;
}
