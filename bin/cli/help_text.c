#include "bin/cli/help_text.h"

const char help_date[] = "November 23, 2026";

static const char *const octavo_paragraphs[] = {
    "octavo turns a checkpoint of a language model into one packed file with block-FP8 weights, "
    "and "
    "proves that the file is right.",
    "Weights of linear layers become 8-bit floating-point numbers (E4M3) with one scale for each "
    "tile of 128 by 128. Everything else is kept bit for bit. What a scale and a code are is "
    "defined operation by operation, so the same checkpoint gives the same bytes on every machine, "
    "with any number of threads.",
    "Results go to standard output, everything else to standard error. With --json every command "
    "but help prints exactly one JSON object on standard output, also when it fails. Options and "
    "operands "
    "may be mixed; behind -- all arguments are operands. Long options are not abbreviated.",
    "Sizes in reports are in powers of 1000 (MB, GB); memory is in powers of 1024 (MiB, GiB); JSON "
    "has exact bytes.",
    "The environment variable OCTAVO_CPU (baseline, v3 or v4) makes the program use a lower "
    "instruction level of the processor than it could. The result is the same, only slower.",
    NULL,
};

static const help_example octavo_examples[] = {
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo", "Quantize, into one packed file."},
    {"verify ring-mini.octavo", "Every byte is what was written."},
    {"verify ring-mini.octavo --against Ring-mini-linear-2.0",
     "Every weight is the right rounding of its source."},
    {"inspect ring-mini.octavo", "See what is inside."},
    {"export ring-mini.octavo -o ring-mini-fp8 --for vllm", "Make what a runtime loads."},
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
    "Quantize the linear layers of CHECKPOINT to block FP8, keep all other tensors bit for bit, "
    "and "
    "write one packed file.",
    "CHECKPOINT is a directory as released on the Hugging Face Hub (model.safetensors, or shards "
    "with model.safetensors.index.json), a folder of the Hub's cache (models--NAME), a single "
    ".safetensors file, or an archive of such a directory: tar, tar.gz, tar.zst, tar.xz, tar.bz2 "
    "or zip. "
    "What is compressed is unpacked into a temporary file in TMPDIR. Only headers are read before "
    "the plan is made; then the weights stream "
    "through buffers of a fixed size, so that memory does not grow with the model.",
    "Built-in rules know the linear layers and experts of released models. Rules of a --recipe, "
    "then --keep and --quantize in the order of the command line come on top; the last rule that "
    "matches a tensor's name decides. In a GLOB, * stands for any bytes, dots included, ? for one "
    "byte, and [a-z] for one byte of a set. A GLOB that matches nothing is an error.",
    "Weights that are FP8 already, in tiles of 128 x 128 with a scale each, are carried over: "
    "codes "
    "and scales bit for bit. Other tiles would have to be rounded a second time: an error, unless "
    "--requantize allows it. FP8 without scales, scales without FP8 and scales that do not fit are "
    "errors, too.",
    "A NaN or an infinity in a tensor to quantize is an error that names the tensor and the place. "
    "In a kept tensor it is copied, counted and noted.",
    "The files that a runtime needs beside the weights (config.json, tokenizer and license files "
    "and the like) travel inside the packed file.",
    "The output appears under its name only when it is complete, on the disk and, unless "
    "--no-read-back says otherwise, read back from there. Whatever goes wrong before leaves no "
    "file, or the old one. An input is never overwritten. With -o - the file goes to standard "
    "output, "
    "from its first byte to its last, and the report to standard error; whoever reads it knows by "
    "its "
    "end that it is complete: octavo verify - checks that.",
    "Where there are CUDA devices they compute, all of them, unless --device says otherwise; the "
    "environment variable CUDA_VISIBLE_DEVICES hides devices from every program. A device that "
    "--device names and that is missing or full is an error; without names it is left out. Where "
    "a device fails, or none can be used, that is an error with cuda; with auto, the CPU computes "
    "what is left. Of what a GPU computes the CPU computes a sample, too, as --check-device says; "
    "a difference is always an error.",
    "The report ends with root, the SHA-256 that stands for the whole content of the file.",
    NULL,
};

static const help_example convert_examples[] = {
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo", "Quantize with the built-in rules."},
    {"convert Ring-mini-linear-2.0 -o ring-mini.octavo -n",
     "See what would become of each tensor, and why."},
    {"convert model -o model.octavo --keep '*.layers.0.*' --scales ue8m0",
     "Keep layer 0 as it is; scales that are powers of two."},
    {"convert model -o model.octavo --device cuda:0,1", "Compute on two GPUs, or not at all."},
    {"convert model.tar.zst -o - | ssh store 'cat >model.octavo'",
     "Convert an archive, and send the packed file away as it is made."},
    {NULL, NULL},
};

static const err_code convert_codes[] = {ERR_DIFFERENT, ERR_USAGE,  ERR_IO,       ERR_INPUT,
                                         ERR_GPU,       ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const convert_see_also[] = {"octavo", "octavo-devices", "octavo-inspect",
                                               "octavo-verify", NULL};

static const char *const verify_paragraphs[] = {
    "Prove that a packed FILE is undamaged; with --against, that every tensor in it is what the "
    "definition makes of its source; and with --forward, that the model still says the same.",
    "Up to four checks run, in this order. Structure: superblock, trailer, directories, table of "
    "tensors and every other field. Digests: every section, every chunk of weights and every byte "
    "of padding. Weights, with --against: kept tensors are compared bit for bit, scales and codes "
    "with the definition of the quantizer by code that shares nothing with it; names, shapes, "
    "decisions of the recipe and the configurations are compared, too. Forward: see below.",
    "With - in the place of FILE a packed file is read from standard input, once, in bounded "
    "memory; "
    "structure and digests are all that can be checked then.",
    "Damage does not end the check: every damaged place is reported with its section or tensor, "
    "its chunk and its offset; for people at most 100 of them, with --json all. A damaged file is "
    "not compared with a checkpoint.",
    "With --against the report shows for the tensors with the largest error the signal to "
    "quantization noise ratio (SQNR), the worst tile and the largest difference of a single "
    "weight; with -v for all tensors.",
    "--forward runs the model in float32 on some text. With --against source and packed model run "
    "side by side, layer by layer, and the report tells how far their predictions are apart "
    "(Kullback-Leibler divergence, agreement of the first token, perplexity) and, for every layer, "
    "how far the hidden states are and what error the layer itself adds: its local error, which "
    "points at a layer that is wrong. Built-in limits catch faults; --limits sets others. Ring and "
    "Ling 2.0 models are known, hybrid and softmax only.",
    "With --forward the operand may be a CHECKPOINT, too, with or without --against: alone it "
    "tells "
    "its perplexity, and with --reference where it departs from what another engine computed.",
    NULL,
};

static const help_example verify_examples[] = {
    {"verify ring-mini.octavo", "Check every byte."},
    {"verify ring-mini.octavo --quick", "Check the structure only, in milliseconds."},
    {"verify ring-mini.octavo --against Ring-mini-linear-2.0", "Check every weight, too."},
    {"verify ring-mini.octavo --against source --forward --text sample.txt",
     "Check that the model still says the same, too."},
    {"verify Ring-mini-linear-2.0 --forward --reference dump.safetensors",
     "Compare with what another engine computed, module by module."},
    {"verify - <ring-mini.octavo", "Check every byte of standard input, which may be a pipe."},
    {"verify ring-mini.octavo --json | jq .integrity.damages", "List all damaged places."},
    {NULL, NULL},
};

static const err_code verify_codes[] = {ERR_DIFFERENT, ERR_USAGE,    ERR_IO,
                                        ERR_DAMAGED,   ERR_INPUT,    ERR_NUMERIC,
                                        ERR_MEMORY,    ERR_INTERNAL, OK};

static const char *const verify_see_also[] = {"octavo", "octavo-convert", "octavo-inspect", NULL};

static const char *const inspect_paragraphs[] = {
    "Show what a packed FILE or a CHECKPOINT holds: tensors with dtypes, shapes and sizes, and of "
    "a packed file the error of its quantization, its digests and the files that travel inside.",
    "Experts that agree are one row with * in place of their number; layers that agree are one "
    "group. The column count says how many tensors of the checkpoint a row stands for; bytes are "
    "those of all of them, scales included. SQNR is over the whole row, worst is its worst expert "
    "or matrix.",
    "Only headers and evidence are read, not the weights. The digests that cover what is shown are "
    "checked; octavo verify checks the rest.",
    "With --json every field of a packed file is printed, and nothing is folded.",
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
    "Take tensors and embedded files out of a packed FILE: all of them, or those that a NAME "
    "matches.",
    "Embedded files become files of the directory DIR. Tensors become one file in it, "
    "tensors.safetensors, with the names of the source: experts that the packed file stacks are "
    "tensors of their own again. Kept tensors are bit for bit those of the source. A quantized "
    "tensor is its codes (F8_E4M3) and, under its name with _scale_inv behind, its scales (F32); "
    "with --dequantize it is plain numbers.",
    "A NAME is a glob on the names of tensors, of stacks of experts (with * in place of the "
    "number) and of embedded files; it has to match the whole name of something. A quantized "
    "tensor brings its scales along. octavo inspect lists the names.",
    "Every chunk that is read is checked against its digest; damage ends the command. DIR appears "
    "when it is complete; one that exists has to be empty, unless -f says otherwise, and then no "
    "file in it changes before everything was read. Whatever goes wrong leaves nothing behind.",
    NULL,
};

static const help_example unpack_examples[] = {
    {"unpack ring-mini.octavo -o ring-mini", "Everything."},
    {"unpack ring-mini.octavo config.json -o - | jq .model_type", "Look into an embedded file."},
    {"unpack ring-mini.octavo '*.layers.7.*' -o layer7.safetensors --dequantize f32",
     "One layer as plain numbers."},
    {"unpack ring-mini.octavo '*.json' tokenizer.model -o tokenizer", "Files alone."},
    {NULL, NULL},
};

static const err_code unpack_codes[] = {ERR_USAGE,  ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                        ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const unpack_see_also[] = {"octavo", "octavo-inspect", "octavo-verify", NULL};

static const char *const diff_paragraphs[] = {
    "Tell what is different between two models, A and B, each a packed file or a checkpoint: "
    "tensors "
    "that only one of them has, other dtypes and shapes, other bits, other configuration files.",
    "Tensors are compared by the names of the source. Of plain tensors the report tells how many "
    "elements differ, where the first one is and the largest difference; of two quantized ones how "
    "many codes and scales; a checkpoint in block FP8 is a quantized one. A packed file against a "
    "checkpoint in a wider "
    "dtype is alike if it is what the quantizer makes of that, as verify --against has it; if not, "
    "the error is measured.",
    "Two packed files are read only where their digests differ; --full reads all. Embedded files, "
    "and the configuration, tokenizer and license files beside a checkpoint, are compared byte by "
    "byte, JSON key by key.",
    "The exit status is 0 if A and B are alike, 1 if they differ. For people at most 100 "
    "differences are listed, with --json all.",
    NULL,
};

static const help_example diff_examples[] = {
    {"diff old.octavo new.octavo", "What has changed?"},
    {"diff ring-mini.octavo Ring-mini-linear-2.0", "Is it the rounding of this checkpoint?"},
    {"diff Ring-mini-linear-2.0 my-finetune --tensor '*.layers.7.*'",
     "What has changed in a layer?"},
    {"diff a.octavo b.octavo --json | jq -r '.tensors[].name'", "Names of tensors that differ."},
    {NULL, NULL},
};

static const err_code diff_codes[] = {ERR_DIFFERENT, ERR_USAGE,  ERR_IO,       ERR_DAMAGED,
                                      ERR_INPUT,     ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const diff_see_also[] = {"octavo", "octavo-inspect", "octavo-verify", NULL};

static const char *const export_paragraphs[] = {
    "Make a directory that a runtime loads out of a packed FILE: safetensors shards with their "
    "index, config.json with the quantization_config that the runtime reads, and the files that "
    "travel inside FILE.",
    "Codes, scales and kept tensors are written bit for bit, each expert by its own name. What the "
    "runtime builds without FP8 has to be there without: where FILE has FP8 all the same, export "
    "says so and tells how to convert, or with --dequantize writes rounded numbers. "
    "compressed-tensors keeps scales in the dtype of the weight, and therefore takes files in its "
    "own "
    "dialect or with ue8m0 scales only.",
    "With bf16 everything is dequantized, to the dtype of the source.",
    "Weights stream through buffers of a fixed size, and the digest of every chunk is checked on "
    "the way. The directory appears under its name only when it is complete and on the disk; "
    "whatever goes wrong before leaves none, or the old one. No file is ever removed that is not "
    "of an earlier export.",
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
    "Print the token ids of a text as one JSON array on one line.",
    "The tokenizer is the tokenizer.json beside the weights of a CHECKPOINT, that inside a packed "
    "FILE, or a FILE whose name ends in .json. The ids are those of the tokenizers library with "
    "add_special_tokens=False: nothing is added at the beginning or the end, special tokens that "
    "stand in the text are recognised.",
    "Byte-level BPE is supported, as most released models have it. A tokenizer.json that asks for "
    "anything else that could change an id is an error that names the place. So is a text that is "
    "not UTF-8.",
    NULL,
};

static const help_example tokenize_examples[] = {
    {"tokenize Ring-mini-linear-2.0 --text sample.txt >ids.json", "The ids of a file."},
    {"tokenize ring-mini.octavo <sample.txt.gz", "A packed file, a compressed text."},
    {NULL, NULL},
};

static const err_code tokenize_codes[] = {ERR_USAGE,  ERR_IO,       ERR_DAMAGED, ERR_INPUT,
                                          ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const tokenize_see_also[] = {"octavo", "octavo-inspect", NULL};

static const char *const devices_paragraphs[] = {
    "List what could compute here: the processor with its instruction level and number of threads, "
    "and the CUDA devices with the numbers that convert --device takes.",
    "A device is usable if this program has code for it. That there is none is an answer, not a "
    "failure; the line of CUDA says why. Devices that the environment variable "
    "CUDA_VISIBLE_DEVICES hides are not there. Nothing is taken of a device's memory.",
    NULL,
};

static const help_example devices_examples[] = {
    {"devices", "What is there?"},
    {"devices --json | jq '.cuda.devices | length'", "How many CUDA devices are there?"},
    {NULL, NULL},
};

static const err_code devices_codes[] = {ERR_USAGE, ERR_IO, ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const devices_see_also[] = {"octavo", "octavo-convert", NULL};

static const char *const bench_paragraphs[] = {
    "Measure what the parts of a conversion can do on this machine, how much of that a whole "
    "conversion gets, and which part is the slowest.",
    "DIR (default: the current directory) is where the disk is measured: a checkpoint of random "
    "weights with the shapes of Ring-mini is written to a hidden directory in it, converted "
    "several times, and removed, whatever happens. With --checkpoint that one is converted, into "
    "such a directory.",
    "Each line is the median of several runs, in 10^9 bytes a second, with what limits it. Engines "
    "and links are measured in bytes of source. A conversion is held against reading its source "
    "and writing as many bytes as it writes, at the same time and with nothing computed, or "
    "against the link to the GPUs if that is slower. Not cached means that the system was asked to "
    "forget the file before; a disk in memory cannot do that.",
    "The last line names the part that is slowest, by the bytes of source that it gets through in "
    "a second. The machine should have nothing else to do.",
    NULL,
};

static const help_example bench_examples[] = {
    {"bench /scratch", "Is it the disk, the processor or the link?"},
    {"bench --size 8G --device cuda:0 --json /scratch | jq -r .bottleneck",
     "Measure with more data than the disk caches, on one GPU."},
    {"bench --checkpoint Ring-mini-linear-2.0 /scratch",
     "How fast is this model converted here, and what holds it back?"},
    {NULL, NULL},
};

static const err_code bench_codes[] = {ERR_USAGE,  ERR_IO,       ERR_INPUT, ERR_GPU,
                                       ERR_MEMORY, ERR_INTERNAL, OK};

static const char *const bench_see_also[] = {"octavo", "octavo-convert", "octavo-devices", NULL};

static const char *const help_paragraphs[] = {
    "Explain a command, or list all of them.",
    "The same table of options makes the help, the manual pages (--man) and the completions of "
    "three shells (--completion).",
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
