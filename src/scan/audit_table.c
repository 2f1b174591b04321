/* SPDX-License-Identifier: MIT */
/*
 * Makes the audit's index from gpu_commands[] and scan_layouts[]: for each engine and each upper
 * half of a header the length rule and the set of operands to look at.  Runs once in a process,
 * when the first audit is made; constant afterwards.
 *
 * The pages of the index that no command's header leads to are never touched.
 */
#include "scan/audit_table.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

struct audit_entry audit_index[GPU_ENGINES][1u << 16];
struct audit_set audit_sets[AUDIT_SETS];
struct audit_glance audit_glances[AUDIT_SETS];
struct audit_check audit_checks[AUDIT_CHECKS];

static unsigned int set_count, check_count;

/* ---- Operands -------------------------------------------------------------------------------- */

/*
 * A condition on the header's upper half, which is known: returns false when it cannot hold, and
 * clears the bits of it that are settled.
 */
static bool settle(uint8_t dword, uint32_t *mask, uint32_t header, bool wanted)
{
	if (dword || !*mask || *mask & 0xffff)
		return true;
	if (!!(header & *mask) != wanted)
		return false;
	*mask = 0;
	return true;
}

/* True when an address of the command goes to the GGTT, or may: then @check says when. */
static bool may_be_ggtt(const struct scan_field *field, uint32_t header, struct audit_check *check)
{
	if (field->space != SCAN_SPACE_GGTT && field->space != SCAN_SPACE_PPGTT)
		return false;
	check->select_ggtt = field->space == SCAN_SPACE_GGTT;
	check->select_dword = field->select_dword;
	check->select_mask = field->select_mask;
	if (!field->select_mask)
		return check->select_ggtt;
	return settle(field->select_dword, &check->select_mask, header, check->select_ggtt);
}

/* The check of @field in commands whose header's upper half is @header's; false: none. */
static bool make_check(const struct scan_layout *layout, const struct scan_field *field,
		       uint32_t header, struct audit_check *check)
{
	*check = (struct audit_check){
		.mask = (field->high < 63 ? BIT_ULL(field->high + 1) : 0) - BIT_ULL(field->low),
		.if_mask = field->if_mask,
		.unless_mask = field->unless_mask,
		.if_dword = field->if_dword,
		.unless_dword = field->unless_dword,
		.bytes = field->bytes ? field->bytes : 4,
		.dword = field->dword,
		.is_register = field->kind == SCAN_REG,
		.write = field->access & SCAN_WRITE,
		.wide = field->high >= 32,
	};
	if (field->in_group) {
		check->dword = (uint8_t)(layout->group_start + field->dword);
		check->group = (uint8_t)layout->group_dwords;
	}
	if (!settle(check->if_dword, &check->if_mask, header, true) ||
	    !settle(check->unless_dword, &check->unless_mask, header, false))
		return false;
	switch (field->kind) {
	case SCAN_REG:
		return check->write;
	case SCAN_ADDR:
		return may_be_ggtt(field, header, check);
	default:
		return false;
	}
}

/* ---- Sets ------------------------------------------------------------------------------------ */

static enum audit_flow flow_of(const struct gpu_command *command)
{
	static const uint32_t start = 0x18800001, end = 0x05000000;

	if (command->denied)
		return AUDIT_FLOW_DENIED;
	if (command->header == start)
		return AUDIT_FLOW_START;
	return command->header == end ? AUDIT_FLOW_END : AUDIT_FLOW_ON;
}

static bool set_equals(const struct audit_set *a, const struct audit_set *b)
{
	return a->count == b->count && a->flow == b->flow &&
	       !memcmp(&audit_checks[a->first], &audit_checks[b->first],
		       a->count * sizeof(audit_checks[0]));
}

/* The number of @set, whose checks are the newest ones; an equal set is used again. */
static uint8_t set_number(const struct audit_set *set, const struct audit_glance *glance)
{
	for (unsigned int i = 1; i <= set_count; i++) {
		if (set_equals(&audit_sets[i], set) &&
		    !memcmp(&audit_glances[i], glance, sizeof(*glance))) {
			check_count -= set->count;
			return (uint8_t)i;
		}
	}
	assert(set_count + 1 < AUDIT_SETS);
	audit_sets[++set_count] = *set;
	audit_glances[set_count] = *glance;
	return (uint8_t)set_count;
}

/* The glance at commands of @set, if one can say anything about them. */
static struct audit_glance make_glance(const struct audit_set *set,
				       const struct gpu_command *command)
{
	const struct audit_check *first = &audit_checks[set->first];
	const struct audit_check *last = first + set->count - 1;
	struct audit_glance glance = { .ask_mask = UINT32_MAX };

	/* Of two operands one is never meant: the first, without the bits that are asked for. */
	if (!set->count || last->dword + 2u > command->min_dwords ||
	    (set->count == 2 && !first->if_mask) || set->count > 2)
		return glance;
	glance = (struct audit_glance){
		.mask = last->mask,
		.ask_mask = set->count == 2 ? first->if_mask : 0,
		.ask = set->count == 2 ? first->if_dword : 0,
		.dword = last->dword,
		.is_register = last->is_register,
	};
	assert(glance.ask < command->min_dwords);
	assert(last->bytes <= AUDIT_GLANCE_BYTES || last->bytes == SCAN_BYTES_DATA);
	if (!last->group)
		return glance;
	/* MI_LOAD_REGISTER_IMM: with up to four dwords behind the header's first two. */
	assert(set->count == 1 && last->group == 2 && last->dword == 1);
	glance.ask_mask = 0xfc;
	glance.again = 2;
	return glance;
}

static uint8_t make_set(const struct gpu_command *command, uint32_t header)
{
	const struct scan_layout *layout = &scan_layouts[command->id];
	struct audit_set set = { .first = (uint8_t)check_count, .flow = flow_of(command) };
	struct audit_glance glance;

	/* What is not acted upon touches nothing. */
	if (command->klass != GPU_COMMAND_EXEC)
		return 0;
	for (unsigned int i = 0; i < layout->count; i++) {
		assert(check_count < AUDIT_CHECKS);
		if (make_check(layout, &layout->fields[i], header, &audit_checks[check_count])) {
			check_count++;
			set.count++;
		}
	}
	glance = make_glance(&set, command);
	return set.count || set.flow != AUDIT_FLOW_ON ? set_number(&set, &glance) : 0;
}

/* ---- The index ------------------------------------------------------------------------------- */

/* The rule for plain headers of @command; none: zeros. */
static void make_rule(struct audit_entry *entry, const struct gpu_command *command, uint32_t header)
{
	uint32_t most = MIN(command->max_dwords, 0xffu + 2);

	if (audit_sets[entry->set].flow != AUDIT_FLOW_ON)
		return;
	if (header < MI_WITH_LENGTH) {
		assert(!command->length_bits && command->min_dwords == 1 && !entry->set);
		entry->mask = 0xff;
		entry->span = 1;
	} else if (command->length_bits && command->min_dwords <= most) {
		/* All of the length field, and all of the low byte, are what they seem. */
		entry->mask = (uint16_t)((BIT(command->length_bits) - 1) | 0xff);
		entry->least = (uint16_t)(command->min_dwords - 2);
		entry->span = (uint16_t)(most - command->min_dwords + 1);
	}
}

static struct audit_entry make_entry(const struct gpu_command *command, uint32_t header)
{
	struct audit_entry entry = { .set = make_set(command, header) };

	entry.look = entry.set != 0;
	make_rule(&entry, command, header);
	return entry;
}

/* Every upper half of a header of type @type. */
static void fill(enum gpu_engine engine, uint32_t type)
{
	for (uint32_t upper = type << 13; upper < (type + 1) << 13; upper++) {
		const struct gpu_command *command = gpu_command_find(engine, upper << 16);

		if (command)
			audit_index[engine][upper] = make_entry(command, upper << 16);
	}
}

static void make(void)
{
	for_each_engine(engine) {
		fill(engine, 0);
		fill(engine, 2);
		fill(engine, 3);
	}
}

void audit_table_make(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make);
}
