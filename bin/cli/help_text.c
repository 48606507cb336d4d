#include "bin/cli/help_text.h"

const char help_date[] = "November 29, 2026";

static const char *const octavo_paragraphs[] = {
    "octavo converts a language model checkpoint into one packed file with block FP8 weights, and "
    "proves that the file is correct.",
    "Weights of linear layers become 8-bit floating-point numbers (E4M3) with one scale for each "
    "tile of 128 by 128. Everything else is copied byte for byte. Scales and codes are specified "
    "operation by operation, so the same checkpoint gives the same bytes on every machine, with "
    "any number of threads.",
    "Results go to standard output, everything else to standard error. With --json, every command "
    "except help prints exactly one JSON object on standard output, even on failure. Options and "
    "operands may be mixed; after --, all arguments are operands. Long options cannot be "
    "abbreviated.",
    "Options take a SIZE in bytes or with a suffix K, M, G or T, in powers of 1024. Reports print "
    "sizes in powers of 1000 (MB, GB) and memory in powers of 1024 (MiB, GiB); JSON has exact "
    "numbers of bytes.",
    "The environment variable OCTAVO_CPU (baseline, v3 or v4) selects a lower instruction level "
    "than the processor has. The result is the same but takes longer. Commands run in a sandbox "
    "that lets them open only their inputs, the files next to these, the targets of links in them, and "
    "the directories of their outputs; OCTAVO_SANDBOX=off turns it off.",
    NULL,
};

static const help_example octavo_examples[] = {
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo",
     "Quantize a checkpoint into one packed file."},
    {"verify ring-mini.octavo", "Check that every byte matches its digest."},
    {"verify ring-mini.octavo --against Ring-mini-linear-2.0",
     "Check that every weight is the correct rounding of its source."},
    {"inspect ring-mini.octavo", "Show what is inside."},
    {"export ring-mini.octavo -o ring-mini-fp8 --for vllm",
     "Write a directory that a runtime can load."},
    {NULL, NULL},
};

static const err_code octavo_codes[] = {ERR_DIFFERENT, ERR_USAGE,   ERR_IO,  ERR_DAMAGED,
                                        ERR_INPUT,     ERR_NUMERIC, ERR_GPU, ERR_MEMORY,
                                        ERR_INTERNAL,  OK};

static const char *const octavo_see_also[] = {"octavo-bench",
                                              "octavo-convert",
                                              "octavo-devices",
                                              "octavo-diff",
                                              "octavo-export",
                                              "octavo-help",
                                              "octavo-inspect",
                                              "octavo-tokenize",
                                              "octavo-unpack",
                                              "octavo-verify",
                                              NULL};

static const char *const convert_paragraphs[] = {
    "Quantize the linear layers of CHECKPOINT to block FP8, keep all other tensors byte for byte, "
    "and write one packed file.",
    "CHECKPOINT is a directory as released on the Hugging Face Hub (model.safetensors, or shards "
    "with model.safetensors.index.json), a directory of the Hub's cache (models--NAME), a single "
    ".safetensors file, or an archive of such a directory: tar, tar.gz, tar.zst, tar.xz, tar.bz2 "
    "or zip. Compressed archives are unpacked into a temporary file in TMPDIR (default: /var/tmp). "
    "The plan is made from headers alone; then the weights stream through buffers of fixed size, "
    "so memory does not grow with the model.",
    "Built-in rules know the linear layers and experts of released models; vision and audio towers "
    "are kept whole. The rules of a --recipe "
    "are applied after them, then --keep and --quantize in the order of the command line; the last "
    "rule that matches a tensor's name wins. In a GLOB, * matches any bytes, including dots, ? "
    "matches one byte, [a-z] matches one byte of a set, and [!a-z] one byte outside it. A GLOB "
    "that matches nothing is an error.",
    "Weights that are already FP8, with one scale for each tile of 128 x 128, are copied bit for "
    "bit, with their scales. Weights with other tile sizes would have to be rounded a second time, "
    "which is an error unless --requantize allows it. FP8 weights without scales, scales without "
    "FP8 weights, and scales that do not fit their weights are errors as well.",
    "Weights that another method has quantized (NVFP4, GPTQ, bitsandbytes and others) are copied bit "
    "for bit, too, and what its makers left unquantized is kept unless a rule quantizes it. A note "
    "says so; octavo export refuses such a file.",
    "A NaN or an infinity in a tensor that is to be quantized is an error that names the tensor "
    "and the position. In a kept tensor, it is copied, counted and reported.",
    "The files that a runtime needs in addition to the weights (config.json, tokenizer and "
    "license files, and so on) are embedded in the packed file.",
    "The output appears under its name only when it is complete, on disk and, unless "
    "--no-read-back is given, read back from there and checked as octavo verify does. If anything "
    "fails before that, no new file is left behind, and an old one stays as it was. An input is "
    "never overwritten. With -o -, the file goes to standard output, from its first byte to its "
    "last, and the report goes to standard error. The end of the file shows that it is complete; "
    "octavo verify - checks this.",
    "All CUDA devices are used if there are any, unless --device says otherwise; the environment "
    "variable CUDA_VISIBLE_DEVICES hides devices from every program. A device that is named with "
    "--device but is missing or full is an error; one that is not named is left out. If a device "
    "fails, or none can be used, --device cuda ends with an error; with auto, the CPU computes the "
    "rest. The CPU recomputes a sample of the GPU's results (see --check-device); a difference is "
    "always an error.",
    "The report ends with the root, the SHA-256 that identifies the entire content of the file.",
    NULL,
};

static const help_example convert_examples[] = {
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo", "Quantize with the built-in rules."},
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo -n",
     "See what would happen to each tensor, and why."},
    {"convert model -o model.octavo --keep '*.layers.0.*' --scales ue8m0",
     "Keep layer 0 as it is; scales are powers of two."},
    {"convert model -o model.octavo --device cuda:0,1", "Compute on two GPUs, or not at all."},
    {"convert model.tar.zst -o - | ssh store 'cat >model.octavo'",
     "Convert an archive, sending the packed file elsewhere as it is written."},
    {NULL, NULL},
};

static const err_code convert_codes[] = {ERR_DIFFERENT, ERR_USAGE,  ERR_IO,       ERR_INPUT,
                                         ERR_GPU,       ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const convert_see_also[] = {"octavo", "octavo-devices", "octavo-inspect",
                                               "octavo-verify", NULL};

static const char *const verify_paragraphs[] = {
    "Prove that a packed FILE is intact; with --against, that every tensor in it is exactly what "
    "the specification yields for its source; with --forward, that the model still behaves the "
    "same.",
    "Up to four checks run, in this order. Structure: superblock, trailer, directories, tensor "
    "table and every other field. Digests: every section, every chunk of weights and every byte "
    "of padding. Weights, with --against: kept tensors are compared bit for bit, scales and codes "
    "with the specification of the quantizer by an independent implementation; names, shapes, the "
    "recipe's decisions and the configurations are compared as well. Forward: see below.",
    "If FILE is -, a packed file is read from standard input, once and in bounded memory; only "
    "structure and digests can be checked then.",
    "Corruption does not end the check: every corrupted place is reported with its section or "
    "tensor, its chunk and its offset. At most 100 are printed; --json lists all. A corrupted "
    "file is not compared with a checkpoint.",
    "With --against, the report lists the tensors with the largest error: "
    "signal-to-quantization-noise ratio (SQNR), worst tile, and largest difference of a single "
    "weight. With -v it lists all tensors.",
    "--forward runs the model in float32 on the tokens of --text, --tokens or --reference, one of "
    "which is required. With --against, source and packed model run side by side, layer by layer. "
    "The report says how far apart their predictions are (Kullback-Leibler divergence, top-1 "
    "agreement, perplexity) and, for each layer, how far apart the hidden states are and what "
    "error its parts add: attention, router and MLP. The same is done with the ideal file, that is, "
    "with what each tensor is by definition. A part that should be its definition and is not, by "
    "however little, is exit status 6; where another tool rounded, 1.05 times the ideal error is "
    "allowed. --limits adds absolute limits. Supported architectures: Ring-linear 2.0, Ring and "
    "Ling 2.0, Llama and Qwen3.",
    "The text may be many: --text takes files and directories and may be repeated, and octavo help "
    "--man tokenize says what is read. It is read until there are enough tokens for --sequences; "
    "the report says if some of it was not read.",
    "With --forward the operand may also be a CHECKPOINT, with or without --against: alone, its "
    "perplexity is reported and, with --reference, where it departs from what another "
    "implementation computed.",
    NULL,
};

static const help_example verify_examples[] = {
    {"verify ring-mini.octavo", "Check every byte."},
    {"verify ring-mini.octavo --quick", "Check the structure only, in milliseconds."},
    {"verify ring-mini.octavo --against Ring-mini-linear-2.0", "Check every weight as well."},
    {"verify ring-mini.octavo --against source --forward --text sample.txt",
     "Also check that the model still behaves the same."},
    {"verify ring-mini.octavo --against source --forward --text web.jsonl.zst --sequences 64",
     "The same on 64 x 512 tokens of a file of JSON lines."},
    {"verify Ring-mini-linear-2.0 --forward --reference dump.safetensors",
     "Compare with what another implementation computed, module by module."},
    {"verify - <ring-mini.octavo", "Check every byte of standard input, which may be a pipe."},
    {"verify ring-mini.octavo --json | jq .integrity.damage", "List all corrupted places."},
    {NULL, NULL},
};

static const err_code verify_codes[] = {ERR_DIFFERENT, ERR_USAGE,    ERR_IO,
                                        ERR_DAMAGED,   ERR_INPUT,    ERR_NUMERIC,
                                        ERR_MEMORY,    ERR_INTERNAL, OK};

static const char *const verify_see_also[] = {"octavo", "octavo-convert", "octavo-inspect", NULL};

static const char *const inspect_paragraphs[] = {
    "Show what a packed FILE or a CHECKPOINT contains: tensors with dtypes, shapes and sizes, which "
    "of them are already quantized and by what and, for a packed file, its quantization error, its "
    "digests and its embedded files.",
    "Experts that do not differ in these respects share one row, with * in place of their number; "
    "identical layers form one group. The column count is the number of tensors of the checkpoint "
    "that the row stands for; bytes include all of them and their scales. SQNR "
    "(signal-to-quantization-noise ratio) covers the whole row; worst is that of its worst expert "
    "or matrix.",
    "Only headers, digests and statistics are read, not the weights. The digests that cover what "
    "is shown are checked; octavo verify checks the rest.",
    "With --json, every field of a packed file is printed, and no rows are combined.",
    NULL,
};

static const help_example inspect_examples[] = {
    {"inspect ring-mini.octavo", "A table of all tensors."},
    {"inspect ring-mini.octavo --tensor '*.layers.7.*'", "One layer."},
    {"inspect ring-mini.octavo --recipe", "The recipe it was made with, for convert --recipe."},
    {"inspect ring-mini.octavo --json | jq -r .trailer.root", "The root of the file."},
    {NULL, NULL},
};

static const err_code inspect_codes[] = {ERR_USAGE,  ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                         ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const inspect_see_also[] = {"octavo", "octavo-convert", "octavo-unpack",
                                               "octavo-verify", NULL};

static const char *const unpack_paragraphs[] = {
    "Extract tensors and embedded files from a packed FILE: all of them, or those that match a "
    "NAME.",
    "Embedded files become files in the directory DIR. Tensors go to one file in it, "
    "tensors.safetensors, under the names of the source: experts that are stacked in the packed "
    "file become separate tensors again. Kept tensors are bit for bit those of the source. A "
    "quantized tensor becomes its codes (F8_E4M3) and its scales (F32), under its name with the "
    "suffix _scale_inv; with --dequantize it becomes plain numbers.",
    "A NAME is a glob for the names of tensors, of stacks of experts (with * in place of the "
    "number) and of embedded files; it has to match a whole name. A quantized tensor includes its "
    "scales. octavo inspect lists the names.",
    "Every chunk that is read is checked against its digest; corruption ends the command. DIR "
    "appears only when it is complete; an existing one has to be empty unless -f is given, and "
    "then no file in it changes until everything has been read. A failure leaves nothing behind.",
    NULL,
};

static const help_example unpack_examples[] = {
    {"unpack ring-mini.octavo -o ring-mini", "Everything."},
    {"unpack ring-mini.octavo config.json -o - | jq .model_type", "Look into an embedded file."},
    {"unpack ring-mini.octavo '*.layers.7.*' -o layer7.safetensors --dequantize f32",
     "One layer as plain numbers."},
    {"unpack ring-mini.octavo '*.json' tokenizer.model -o tokenizer", "Embedded files only."},
    {NULL, NULL},
};

static const err_code unpack_codes[] = {ERR_USAGE,  ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                        ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const unpack_see_also[] = {"octavo", "octavo-inspect", "octavo-verify", NULL};

static const char *const diff_paragraphs[] = {
    "List the differences between two models, A and B, each a packed file or a checkpoint: "
    "tensors that only one of them has, dtypes and shapes, values, and configuration files.",
    "Tensors are compared by the names of the source. For plain tensors the report says how many "
    "elements differ, where the first one is, and the largest difference; for two quantized ones, "
    "how many codes and scales differ. A checkpoint in block FP8 counts as quantized. A packed "
    "file equals a checkpoint in a wider dtype if it is exactly what the quantizer makes of it, "
    "as in verify --against; if not, the error is measured.",
    "Two packed files are read only where their digests differ; --full reads everything. Embedded "
    "files, and the configuration, tokenizer and license files next to the weights of a "
    "checkpoint, are compared byte by byte, JSON key by key.",
    "The exit status is 0 if A and B are equal, 1 if they differ. At most 100 differences are "
    "printed; --json lists all.",
    NULL,
};

static const help_example diff_examples[] = {
    {"diff old.octavo new.octavo", "What has changed?"},
    {"diff ring-mini.octavo Ring-mini-linear-2.0",
     "Is the file what quantizing this checkpoint gives?"},
    {"diff Ring-mini-linear-2.0 my-finetune --tensor '*.layers.7.*'",
     "What has changed in a layer?"},
    {"diff a.octavo b.octavo --json | jq -r '.tensors[].name'", "Names of tensors that differ."},
    {NULL, NULL},
};

static const err_code diff_codes[] = {ERR_DIFFERENT, ERR_USAGE,  ERR_IO,       ERR_DAMAGED,
                                      ERR_INPUT,     ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const diff_see_also[] = {"octavo", "octavo-inspect", "octavo-verify", NULL};

static const char *const export_paragraphs[] = {
    "From a packed FILE, write a directory that a runtime can load: safetensors shards with their "
    "index, config.json with the quantization_config that the runtime reads, and the files "
    "embedded in FILE.",
    "Codes, scales and kept tensors are written bit for bit, each expert under its own name. A "
    "module that the runtime builds without FP8 must not be FP8: if FILE has FP8 there anyway, "
    "export refuses and says how to convert or, with --dequantize, writes dequantized values. "
    "compressed-tensors keeps scales in the dtype of the weight and therefore accepts only files "
    "in its own dialect or with ue8m0 scales.",
    "Weights that another method has quantized cannot be described to a runtime and are refused. "
    "What the runtime would not load on one device is refused as well, with the answer that "
    "--dry-run gives; --allow-unloadable writes it all the same.",
    "With bf16, everything is dequantized to the dtype of the source.",
    "Weights stream through buffers of fixed size, and every chunk is checked against its digest. "
    "The directory appears under its name only when it is complete and on disk; if anything fails "
    "before that, no new directory is left behind, and an old one stays as it was. Only files of "
    "an earlier export are ever removed.",
    NULL,
};

static const help_example export_examples[] = {
    {"export ring-mini.octavo -o ring-mini-fp8 --for vllm", "A directory for vllm serve."},
    {"export ring-mini.octavo -o ring-mini-fp8 --for sglang -n",
     "See the shards, and which modules are not FP8."},
    {"export ring-mini.octavo -o ring-mini-bf16 --for bf16", "A plain checkpoint again."},
    {NULL, NULL},
};

static const err_code export_codes[] = {ERR_DIFFERENT, ERR_USAGE,  ERR_IO,       ERR_DAMAGED,
                                        ERR_INPUT,     ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const export_see_also[] = {"octavo", "octavo-convert", "octavo-verify", NULL};

static const char *const tokenize_paragraphs[] = {
    "Print the token ids of a text (--text, or else standard input) as one JSON array on one line.",
    "Several texts (--text may be repeated) are tokenized one by one, in the order of the command "
    "line, and their ids follow each other with nothing in between. Of a directory, those files "
    "beneath it are read whose names end in .txt, .text, .md, .jsonl or .ndjson, also with .gz, "
    ".zst, .xz or .bz2 after that, in the order of the bytes of their paths; a note names the "
    "others. Links to directories are not followed. Of a file whose name ends in .jsonl or .ndjson "
    "every line is a JSON object, whose field text (see --text-field) is one text.",
    "The tokenizer is the tokenizer.json next to the weights of a CHECKPOINT, the one embedded in "
    "a packed FILE, or a FILE whose name ends in .json. The ids are those of the tokenizers "
    "library with add_special_tokens=False: nothing is added at the beginning or the end; special "
    "tokens in the text are recognized. Truncation and padding that were saved in tokenizer.json "
    "are ignored, with a note. A model without tokenizer.json may have tiktoken.model and, next to "
    "it, the code of its tokenizer, which is read but never run.",
    "BPE is supported, which is what most released models use. If tokenizer.json asks for anything "
    "else that could change an id, octavo refuses it and names the place. A text that is not UTF-8 "
    "is an error.",
    NULL,
};

static const help_example tokenize_examples[] = {
    {"tokenize Ring-mini-linear-2.0 --text sample.txt >ids.json", "The ids of a file."},
    {"tokenize ring-mini.octavo <sample.txt.gz", "A packed file, and a compressed text."},
    {"tokenize ring-mini.octavo --text books --text web.jsonl.zst --text-field content",
     "A directory of texts, and JSON lines."},
    {NULL, NULL},
};

static const err_code tokenize_codes[] = {ERR_USAGE,  ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                          ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const tokenize_see_also[] = {"octavo", "octavo-inspect", NULL};

static const char *const devices_paragraphs[] = {
    "List the devices that can compute here: the processor with its instruction level and number "
    "of threads, and the CUDA devices with the numbers that convert --device takes.",
    "A device is usable if this program has code for it. Finding no device is not an error; the "
    "CUDA line gives the reason. Devices hidden by the environment variable CUDA_VISIBLE_DEVICES "
    "are not listed. No device memory is allocated.",
    NULL,
};

static const help_example devices_examples[] = {
    {"devices", "What is available?"},
    {"devices --json | jq '.cuda.devices | length'", "How many CUDA devices are there?"},
    {NULL, NULL},
};

static const err_code devices_codes[] = {ERR_USAGE, ERR_IO, ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const devices_see_also[] = {"octavo", "octavo-convert", NULL};

static const char *const bench_paragraphs[] = {
    "Measure how fast each part of a conversion is on this machine, how much of that a whole "
    "conversion achieves, and which part is the bottleneck.",
    "DIR (default: the current directory) is where the disk is measured: a checkpoint of random "
    "weights with the shapes of Ring-mini is written to a hidden directory in it, converted "
    "several times, and always removed. With --checkpoint, that checkpoint is converted into such "
    "a directory instead.",
    "Each line shows the median of several runs, in units of 10^9 bytes per second, and what "
    "limits it. Engines and links are measured in bytes of source. A conversion is compared with "
    "plainly reading its source and writing the same number of bytes at the same time, without "
    "computing anything, or with the link to the GPUs if that is slower. \"Not cached\" means that "
    "the system was asked to drop the file from its cache first; that is not possible for a disk "
    "in memory.",
    "The last line names the slowest part, measured in bytes of source per second. Run bench on an "
    "idle machine.",
    NULL,
};

static const help_example bench_examples[] = {
    {"bench /scratch", "Is it the disk, the processor or the link?"},
    {"bench --size 8G --device cuda:0 --json /scratch | jq -r .bottleneck",
     "Measure with more data than fits in the disk cache, on one GPU."},
    {"bench --checkpoint Ring-mini-linear-2.0 /scratch",
     "How fast is this model converted here, and what limits the speed?"},
    {NULL, NULL},
};

static const err_code bench_codes[] = {ERR_USAGE,  ERR_IO,       ERR_INPUT, ERR_GPU,
                                       ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const bench_see_also[] = {"octavo", "octavo-convert", "octavo-devices", NULL};

static const char *const help_paragraphs[] = {
    "Explain a command, or list all commands.",
    "Help, manual pages (--man) and completions for three shells (--completion) are made from one "
    "table of options.",
    NULL,
};

static const help_example help_examples[] = {
    {"help convert", "Explain convert; octavo convert --help does the same."},
    {"help --man verify | man -l -", "Read a manual page that is not installed."},
    {"help --completion bash >octavo.bash",
     "Write the completion for bash, to be sourced or installed."},
    {NULL, NULL},
};

static const err_code help_codes[] = {ERR_USAGE, ERR_IO, OK};

static const char *const help_see_also[] = {"octavo", NULL};

const help_text help_texts[COMMAND_COUNT + 1] = {
    [COMMAND_CONVERT] = {convert_paragraphs, convert_examples, convert_codes, convert_see_also},
    [COMMAND_VERIFY] = {verify_paragraphs, verify_examples, verify_codes, verify_see_also},
    [COMMAND_INSPECT] = {inspect_paragraphs, inspect_examples, inspect_codes, inspect_see_also},
    [COMMAND_UNPACK] = {unpack_paragraphs, unpack_examples, unpack_codes, unpack_see_also},
    [COMMAND_DIFF] = {diff_paragraphs, diff_examples, diff_codes, diff_see_also},
    [COMMAND_EXPORT] = {export_paragraphs, export_examples, export_codes, export_see_also},
    [COMMAND_TOKENIZE] = {tokenize_paragraphs, tokenize_examples, tokenize_codes,
                          tokenize_see_also},
    [COMMAND_DEVICES] = {devices_paragraphs, devices_examples, devices_codes, devices_see_also},
    [COMMAND_BENCH] = {bench_paragraphs, bench_examples, bench_codes, bench_see_also},
    [COMMAND_HELP] = {help_paragraphs, help_examples, help_codes, help_see_also},
    [COMMAND_NONE] = {octavo_paragraphs, octavo_examples, octavo_codes, octavo_see_also},
};
